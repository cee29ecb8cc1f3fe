"""Suites that others bring: a package, and files that describe environments registered with Gymnasium."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

THIRD_PARTY = Path(__file__).parent / "third_party"


@pytest.fixture(scope="session")
def third_party(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the package in `third_party` is installed to, as it would be into an environment."""
    folder = tmp_path_factory.mktemp("third_party")
    source = shutil.copytree(THIRD_PARTY, folder / "source")  # building leaves things behind
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
    options = ["--no-deps", "--no-build-isolation", "--target", str(folder / "site"), str(source)]
    subprocess.run([*command, *options], check=True)
    return folder / "site"


@pytest.fixture
def described(tmp_path: Path) -> Callable[[str], str]:
    """Writes a file that describes a suite; returns its path."""

    def write(text: str) -> str:
        path = tmp_path / "suite.yaml"
        path.write_text(text)
        return str(path)

    return write
