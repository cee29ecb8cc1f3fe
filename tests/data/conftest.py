"""Demonstrations to write, and files of them to damage."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import h5py
import numpy as np
import pytest

from mtil.data.hdf5.writing import write_task
from mtil.types import Episode, Task

MakeEpisode = Callable[[int], Episode]
LENGTHS = (5, 6, 4)


@pytest.fixture
def make_episode() -> MakeEpisode:
    """Makes an episode of so many steps with a state of 4, a 6 x 8 image and an action of 2."""

    def make(steps: int) -> Episode:
        rng = np.random.default_rng(steps)
        return Episode(
            observations={
                "proprio": rng.normal(size=(steps, 4)).astype(np.float32),
                "camera": rng.integers(0, 256, (steps, 6, 8, 3), dtype=np.uint8),
            },
            actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
            rewards=rng.normal(size=steps).astype(np.float32),
            dones=np.arange(steps) == steps - 1,
        )

    return make


@pytest.fixture
def write(tmp_path: Path, make_episode: MakeEpisode) -> Callable[[str], Path]:
    """Writes a sound file of three demonstrations for the task of that name, into one folder."""

    def write_file(name: str) -> Path:
        path = tmp_path / "dataset" / f"{name}.hdf5"
        episodes = [make_episode(steps) for steps in LENGTHS]
        env_args = {"env_name": name, "type": 2, "env_kwargs": {}}
        task = Task(name, (f"do {name}", f"please do {name}"))
        write_task(path, task, episodes, env_args=env_args, masks={"train": [0, 2], "valid": [1]})
        return path

    return write_file


@pytest.fixture
def sound(write: Callable[[str], Path]) -> Path:
    """One sound file."""
    return write("drawer-open")


@pytest.fixture
def opened(sound: Path) -> Iterator[h5py.File]:
    """The sound file, open for damage."""
    with h5py.File(sound, "r+") as file:
        yield file


SIZES = {"lift": (3, 2), "push": (5, 4), "turn": (2, 3)}
"""Widths of state and action of each task in `three_tasks`."""


@pytest.fixture
def three_tasks(tmp_path: Path) -> Path:
    """A folder of three tasks that differ in size, each with ten demonstrations and a camera."""
    rng = np.random.default_rng(0)
    for n, (name, (state, action)) in enumerate(SIZES.items()):
        episodes = [
            Episode(
                observations={
                    "proprio": rng.normal(n, 1, (steps, state)).astype(np.float32),
                    "objects": rng.normal(size=(steps, 2)).astype(np.float32),
                    "camera": rng.integers(0, 256, (steps, 2, 2, 3), np.uint8),
                },
                actions=rng.uniform(-1, 1, (steps, action)).astype(np.float32),
                rewards=np.zeros(steps, np.float32),
                dones=np.arange(steps) == steps - 1,
            )
            for steps in rng.integers(3, 9 + 9 * n, 10).tolist()
        ]
        write_task(
            tmp_path / "three_tasks" / f"{name}.hdf5",
            Task(name, tuple(f"{name} it {i}" for i in range(n + 2))),
            episodes,
            env_args={"env_name": name, "type": 2, "env_kwargs": {}},
            masks={"train": [1, 2, 3], "valid": [0, 9], "all": range(10)},
        )
    return tmp_path / "three_tasks"


@pytest.fixture
def film() -> Callable[..., Path]:
    """Writes a video."""
    return _film


def _film(path: Path, *, frames: int, fps: int = 10, size: tuple[int, int] = (48, 64), first: int = 0) -> Path:
    """A film that brightens steadily from a grey value, to one more by 8 at each frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 4_000_000
        for index in range(frames):
            picture = np.full((*size, 3), first + 8 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path
