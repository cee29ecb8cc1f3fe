"""`mtil serve` as a shell sees it: one line when it listens, one when it ends."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import pytest

from mtil.errors import CheckpointError, ServingError
from mtil.serving.client import Client
from mtil.serving.serve import serve
from mtil.serving.server import listen

Start = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def started(export: Path) -> Start:
    """Starts `mtil serve` of an export; it is gone in the end."""

    @contextmanager
    def start(*words: str) -> Iterator[subprocess.Popen[str]]:
        main = [sys.executable, "-c", "from mtil.cli import main; main()", "serve", str(export)]
        with subprocess.Popen([*main, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    return start


@pytest.mark.parametrize(
    ("number", "host", "warnings"), [(signal.SIGINT, "127.0.0.1", 0), (signal.SIGTERM, "0.0.0.0", 1)]
)
def test_from_its_address_to_its_end(started: Start, number: signal.Signals, host: str, warnings: int) -> None:
    with started("--host", host, "--port", "0", "--slots", "2") as process:
        assert process.stdout is not None
        found, _, port = process.stdout.readline().rstrip("\n").rpartition(":")
        assert found == host
        client = Client("127.0.0.1", int(port))
        client.reset("narrow")
        observation = {"proprio": [0.0, 0.0], "front_image": np.zeros((16, 16, 3), np.uint8)}
        client.act(observation)
        client.chunk(observation, delay=1)
        process.send_signal(number)
        out, said = process.communicate()
        client.close()
    first, *warned, last = said.splitlines()
    assert (process.returncode, out) == (0, "")
    assert "serving: " in first
    assert first.endswith("0.1/model.safetensors (step 5, averaged weights), 2 slots; Ctrl-C ends it")
    assert (
        warned
        == ["warning: whoever reaches 0.0.0.0 can use the policy: there is no authentication, no encryption"] * warnings
    )
    assert last == "served: 2 actions and chunks, 1 clients"


def test_what_cannot_be_served(tmp_path: Path, export: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such run directory, export or checkpoint"):
        serve(tmp_path / "nowhere", host="127.0.0.1", port=0, slots=1)
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServingError, match=rf"127\.0\.0\.1:{port}: cannot be listened at: Address already in use"):
            serve(export, host="127.0.0.1", port=port, slots=1)
