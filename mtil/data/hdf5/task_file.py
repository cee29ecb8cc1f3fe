"""Demonstrations in the robomimic/LIBERO layout, one HDF5 file per task: open, read.

Legend: T time steps, A action dimensions.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Shaped

from mtil.data.defects import ACTIONS, reading
from mtil.data.hdf5.demo import read_array
from mtil.data.hdf5.images import images_of
from mtil.data.hdf5.survey import survey
from mtil.data.images import Images, Stamp
from mtil.data.survey import Survey, refuse
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError
from mtil.types import Episode

_SUFFIXES = (".hdf5", ".h5")


@dataclass(frozen=True)
class TaskFile(TaskDemos):
    """One task's demonstrations in an HDF5 file of its own."""

    def images(self, key: str) -> Iterator[Images]:
        with reading(self.path), h5py.File(self.path, "r") as file:
            for demo in self.demos:
                array = file[f"data/{demo}/obs/{key}"]
                assert isinstance(array, h5py.Dataset)
                yield images_of(array)

    def unread(self) -> tuple[str, ...]:
        with reading(self.path), h5py.File(self.path, "r") as file:
            return tuple(dict.fromkeys(_unread(file, self.demos)))

    def stamp(self) -> Stamp:
        with reading(self.path):
            return Stamp.of(self.path)

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        with reading(self.path), h5py.File(self.path, "r") as file:
            for name in demos:
                yield _read_episode(file, f"data/{name}", keys)


def task_files(path: Path) -> list[Path]:
    """The HDF5 files that make up a dataset.

    Args:
        path: One file, or a folder of `*.hdf5` and `*.h5` files, one per task, hidden ones excepted.

    Raises:
        DatasetError: There is no such path, or the folder holds no such file.
    """
    try:
        if path.is_file():
            return [path]
        files = sorted(file for file in path.iterdir() if holds_a_task(file))
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file or folder") from None
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from None
    if not files:
        raise DatasetError(f"{path}: no demonstrations here: expected files named *.hdf5 or *.h5, one per task")
    return files


def holds_a_task(file: Path) -> bool:
    """Whether, by its name, a file is one of those in a folder that hold demonstrations."""
    return file.suffix in _SUFFIXES and not file.name.startswith(".") and not file.is_dir()


def count_demos(path: Path) -> int:
    """How many demonstrations a file holds, which are not looked at.

    Raises:
        DatasetError: It cannot be read.
    """
    with reading(path), h5py.File(path, "r") as file:
        data = file["data"]
        assert isinstance(data, h5py.Group)
        return len(data)


def open_task(path: Path) -> TaskFile:
    """Open one file of demonstrations.

    Raises:
        DatasetError: It has defects; the message tells the first one and how many more there are.
    """
    found = survey(path)
    refuse(found.defects, hint=f"see `mtil inspect {path}`")
    return task_file(found)


def task_file(sound: Survey) -> TaskFile:
    """A file in which nothing wrong was found, opened."""
    return TaskFile(**sound.found())


def _unread(file: h5py.File, demos: Iterable[str]) -> Iterator[str]:
    """Groups, arrays and attributes that have no part in training."""
    data = file["data"]
    yield from (name for name in map(str, file) if name not in ("data", "mask"))
    known = ("total", "env_args", "problem_info")
    yield from (f"attribute {name}" for name in map(str, data.attrs) if name not in known)
    for name in demos:
        demo = file[f"data/{name}"]
        assert isinstance(demo, h5py.Group)
        yield from (f"attribute {each} of demonstrations" for each in map(str, demo.attrs) if each != "num_samples")
        yield from (each for each in map(str, demo) if each not in (ACTIONS, "rewards", "dones", "obs", "states"))
        states = demo.get("states")
        if isinstance(states, h5py.Dataset) and states[()].any():  # robomimic asks for some, if only zeros
            yield "states"


def _read_episode(file: h5py.File, demo: str, keys: Iterable[str]) -> Episode:
    def read(key: str) -> Shaped[np.ndarray, "T ..."]:
        array = file[f"{demo}/{key}"]
        assert isinstance(array, h5py.Dataset)
        return read_array(array)

    return Episode(
        observations={key: read(f"obs/{key}") for key in keys},
        actions=read("actions"),
        rewards=read("rewards"),
        dones=read("dones"),
    )
