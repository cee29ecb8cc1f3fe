"""Fixtures that several rooms share."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hub_server import HubServer
from huggingface_hub import constants
from hypothesis import settings

from mtil.data.hdf5.writing import write_task
from mtil.types import Episode, Task

# The machine may be slow, and the same code must pass or fail the same way.
settings.register_profile("mtil", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("mtil")


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """What tests start can be interrupted, also where they run in the background, which ignores Ctrl-C."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Models this small only wait for each other's threads, here and in the processes that tests start."""
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, for this process and those that it spawns."""
    monkeypatch.setenv("MTIL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """Somebody is logged in there who may write to what `acme` owns, and works in an empty folder."""
    with HubServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", server.address + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # a protocol of its own, beside the Hub's
        monkeypatch.setenv("HF_TOKEN", "writer")
        (tmp_path / "work").mkdir()
        monkeypatch.chdir(tmp_path / "work")
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def toy_suite(monkeypatch: pytest.MonkeyPatch) -> str:
    """Installs the suite `tests/evaluation/toy`, for this process and those that it spawns; returns its name."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "evaluation" / "toy")
    return "toy"


@pytest.fixture
def launch() -> Callable[[Sequence[Sequence[object]]], list[subprocess.CompletedProcess[str]]]:
    """Runs Python in as many ranks as it is given lists of arguments, together, and tells how each ended."""

    def run(commands: Sequence[Sequence[object]]) -> list[subprocess.CompletedProcess[str]]:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
        shared = os.environ | address | {"WORLD_SIZE": str(len(commands)), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
        started = [
            subprocess.Popen(
                [sys.executable, *map(str, arguments)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=shared | {"RANK": str(rank), "PYTHONPATH": os.pathsep.join(sys.path)},
            )
            for rank, arguments in enumerate(commands)
        ]
        said = [process.communicate() for process in started]
        return [
            subprocess.CompletedProcess(process.args, process.returncode, *each)
            for process, each in zip(started, said, strict=True)
        ]

    return run


@pytest.fixture(scope="session")
def opposites(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two tasks that see the same states (of 3) and do the opposite (actions of 2)."""
    folder = tmp_path_factory.mktemp("opposites")
    for name, sign in (("left", -1.0), ("right", 1.0)):
        _write(folder, Task(name, (f"go {name}", f"move to the {name}")), state=3, action=2, sign=sign)
    return folder


@pytest.fixture(scope="session")
def newcomers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of two tasks, with features as in `opposites`: `right`, as there, and `around`, which is new."""
    folder = tmp_path_factory.mktemp("newcomers")
    _write(folder, Task("around", ("go around",)), state=3, action=2, sign=-1.0)
    _write(folder, Task("right", ("go right", "to the right, please")), state=3, action=2, sign=-1.0)
    return folder


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a task with states of 3 and actions of 2, and one with states of 2 and actions of 1."""
    folder = tmp_path_factory.mktemp("mixed")
    _write(folder, Task("narrow", ("turn the knob",)), state=2, action=1)
    _write(folder, Task("wide", ("stir the pot", "stir it")), state=3, action=2)
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An embedding cache that only the tests use."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("MTIL_CACHE", str(folder))
        yield folder


def _write(folder: Path, task: Task, *, state: int, action: int, sign: float = 1.0) -> None:
    """Six demonstrations of different lengths; the action follows from the first states."""
    rng = np.random.default_rng(0)
    episodes = []
    for steps in range(5, 11):
        proprio, goal = rng.normal(size=(steps, state)), rng.normal(size=(steps, 2))
        signals = {"rewards": np.zeros(steps, np.float32), "dones": np.arange(steps) == steps - 1}
        observations = {"proprio": proprio.astype(np.float32), "goal": goal.astype(np.float32)}
        actions = (sign * np.tanh(proprio[:, :action])).astype(np.float32)
        episodes.append(Episode(observations=observations, actions=actions, **signals))
    env_args = {"env_name": task.name, "type": 2, "env_kwargs": {}}
    write_task(folder / f"{task.name}.hdf5", task, episodes, env_args=env_args)
