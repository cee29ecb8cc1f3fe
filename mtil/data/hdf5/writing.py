"""One task's demonstrations written in the robomimic/LIBERO layout, in memory for one at a time."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from mtil.data.hdf5 import problem_info
from mtil.data.hdf5.scaffold import Scaffold, place
from mtil.data.hdf5.survey import survey
from mtil.data.survey import refuse
from mtil.errors import OutputError
from mtil.files import replacing
from mtil.types import Episode, Task


def write_task(
    path: Path,
    task: Task,
    episodes: Iterable[Episode],
    *,
    env_args: Mapping[str, Any],
    masks: Mapping[str, Sequence[int]] | None = None,
    demos: Sequence[str] | None = None,
) -> None:
    """Write one task's demonstrations; the same input gives the same bytes.

    The file appears whole or not at all: until it is complete it bears a hidden name.

    Args:
        path: Where to; an existing file is replaced.
        task: The task.
        episodes: Its demonstrations, asked for one after the other.
        env_args: What robomimic needs to know of the environment: `env_name`, `type`, `env_kwargs`.
        masks: Indices of demonstrations by filter key, e.g. `{"train": [0, 1], "valid": [2]}`.
        demos: Their names; by default `demo_0`, `demo_1`, ...

    Raises:
        DatasetError: The demonstrations do not make a sound file.
        OutputError: The disk is full, or the place forbidden.
    """
    try:
        with replacing(path) as partial:
            with partial.open("wb") as disk, _Writer(disk) as writer:
                data = writer.file.create_group("data")
                data.attrs["env_args"] = json.dumps(dict(env_args))
                data.attrs["problem_info"] = problem_info.encode(task)
                total = 0
                for index, episode in enumerate(episodes):
                    _write_demo(writer, f"data/{_name(demos, index)}", episode)
                    total += len(episode)
                data.attrs["total"] = total
                for key, indices in (masks or {}).items():
                    names = [_name(demos, index) for index in indices]
                    writer.file[f"mask/{key}"] = np.array(names, dtype="S")
            refuse(survey(path, source=partial).defects, hint="nothing was written")
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _name(demos: Sequence[str] | None, index: int) -> str:
    return f"demo_{index}" if demos is None else demos[index]


def _write_demo(writer: "_Writer", name: str, episode: Episode) -> None:
    group = writer.file.create_group(name)
    group.attrs["num_samples"] = len(episode)
    arrays = {
        "actions": episode.actions,
        "rewards": episode.rewards,
        "dones": np.not_equal(episode.dones, 0).astype(np.uint8),
        "states": np.zeros((len(episode), 1), np.float32),  # robomimic expects some simulator state
    } | {f"obs/{key}": array for key, array in episode.observations.items()}
    for key, array in arrays.items():
        writer.write(group, key, _stored(array))


def _stored(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" and array.ndim < 4 else array


class _Writer:
    """A file whose arrays go to disk as they come, and all else when it is closed."""

    def __init__(self, disk: BinaryIO) -> None:
        self._disk = disk
        self._scaffold = Scaffold()
        self._arrays: list[tuple[int, int]] = []
        self.file = h5py.File(self._scaffold, "w")

    def write(self, group: h5py.Group, name: str, array: np.ndarray) -> None:
        if not array.size:
            group[name] = array
            return
        offset = place(group, name, array.shape, h5py.h5t.py_create(array.dtype, logical=True)).id.get_offset()
        self._disk.seek(offset)
        self._disk.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        self._arrays.append((offset, array.nbytes))

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, failed: type[BaseException] | None, *_: object) -> None:
        self.file.close()
        done = 0
        for offset, size in [] if failed else [*sorted(self._arrays), (self._scaffold.size, 0)]:
            self._disk.seek(done)
            self._disk.write(self._scaffold.read_between(done, offset))
            done = offset + size
