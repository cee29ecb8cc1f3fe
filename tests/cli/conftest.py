"""The command line within this process, and as a shell sees it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mtil.cli import app

MAIN = """
import atexit
import sys
from mtil.cli import main

heavy = {"torch", "lightning", "transformers", "h5py", "scipy", "gymnasium", "matplotlib"}
atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))
main()
"""


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Runs a command; what it raises is in the result."""

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return run


@pytest.fixture
def shell() -> Callable[..., tuple[int, str, str, str]]:
    """Runs a command: exit status, standard output, standard error, and which heavy packages were imported."""

    def run(*arguments: str | Path) -> tuple[int, str, str, str]:
        command = [sys.executable, "-c", MAIN, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "100", "PATH": ""})
        *errors, imported = done.stderr.splitlines()
        return done.returncode, done.stdout, "\n".join(errors), imported

    return run
