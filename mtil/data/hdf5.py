"""Demonstrations in the robomimic/LIBERO layout, one HDF5 file per task: write, open, read.

Legend: T time steps, A action dimensions.
"""

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from jaxtyping import Shaped

from mtil.data import problem_info
from mtil.data.defects import ACTIONS, Defect, explain
from mtil.data.demo import read_array
from mtil.data.survey import Survey, conflicts, survey
from mtil.errors import DatasetError, OutputError, unknown
from mtil.files import replacing
from mtil.types import Episode, FeatureSpec, Task

_SUFFIXES = (".hdf5", ".h5")


@dataclass(frozen=True)
class TaskFile:
    """One task's demonstrations on disk, checked when opened.

    Attributes:
        path: The file.
        task: The task that all its demonstrations solve.
        demos: Names of the demonstrations in numeric order, e.g. `"demo_0"`.
        lengths: Steps of each.
        observations: Specs of the observations by key.
        action: Spec of the actions.
        masks: Names of demonstrations by filter key, e.g. `"train"`.
    """

    path: Path
    task: Task
    demos: tuple[str, ...]
    lengths: tuple[int, ...]
    observations: Mapping[str, FeatureSpec]
    action: FeatureSpec
    masks: Mapping[str, tuple[str, ...]]

    def read(self, demo: str, keys: Iterable[str] | None = None) -> Episode:
        """One demonstration; see `episodes`."""
        return next(self.episodes(keys, [demo]))

    def episodes(self, keys: Iterable[str] | None = None, demos: Iterable[str] | None = None) -> Iterator[Episode]:
        """Demonstrations one after the other, the file being opened once.

        Images come as uint8; states, actions, rewards and dones as float32, whatever they are stored as.

        Args:
            keys: Observations to read; by default all.
            demos: Names of the demonstrations; by default all, in order.

        Raises:
            DatasetError: A name does not exist, or the file cannot be read any more.
        """
        wanted = self._known("observation", keys, list(self.observations))
        names = self._known("demonstration", demos, self.demos)
        try:
            with h5py.File(self.path, "r") as file:
                for name in names:
                    yield _read_episode(file, f"data/{name}", wanted)
        except (OSError, KeyError, RuntimeError) as error:
            raise DatasetError(f"{self.path}: {explain(error)}") from None

    def _known(self, what: str, names: Iterable[str] | None, valid: Sequence[str]) -> list[str]:
        chosen = list(valid if names is None else names)
        for name in chosen:
            if name not in valid:
                raise DatasetError(f"{self.path}: {unknown(what, name, valid)}")
        return chosen


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


def open_tasks(path: Path) -> list[TaskFile]:
    """Open a dataset: one file, or a folder with one file per task.

    Raises:
        DatasetError: There is none, or it has defects; the message tells the first one and how many more there are.
    """
    return _open(task_files(path), path)


def open_task(path: Path) -> TaskFile:
    """Open one file of demonstrations.

    Raises:
        DatasetError: As `open_tasks` does.
    """
    return _open([path], path)[0]


def _open(files: Sequence[Path], dataset: Path) -> list[TaskFile]:
    surveys = [survey(file) for file in files]
    defects = [defect for each in surveys for defect in each.defects] + conflicts(surveys)
    _refuse(defects, hint=f"see `mtil inspect {dataset}`")
    return [_task_file(each) for each in surveys]


def write_task(
    path: Path,
    task: Task,
    episodes: Sequence[Episode],
    *,
    env_args: Mapping[str, Any],
    masks: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Write one task's demonstrations; the same input gives the same bytes.

    The file appears whole or not at all: until it is complete it bears a hidden name.

    Args:
        path: Where to; an existing file is replaced.
        task: The task.
        episodes: Its demonstrations, which become `demo_0`, `demo_1`, ...
        env_args: What robomimic needs to know of the environment: `env_name`, `type`, `env_kwargs`.
        masks: Indices of demonstrations by filter key, e.g. `{"train": [0, 1], "valid": [2]}`.

    Raises:
        DatasetError: The demonstrations do not make a sound file.
        OutputError: The disk is full, or the place forbidden.
    """
    # A disk that fills up under HDF5 crashes the whole process (2.0.0: segmentation fault): hence memory first.
    image = io.BytesIO()
    with h5py.File(image, "w") as file:
        _write_data(file.create_group("data"), task, episodes, env_args)
        for key, indices in (masks or {}).items():
            file[f"mask/{key}"] = np.array([f"demo_{i}" for i in indices], dtype="S")
    _refuse(survey(path, source=image).defects, hint="nothing was written")
    try:
        with replacing(path) as temporary:
            temporary.write_bytes(image.getbuffer())
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _write_data(data: h5py.Group, task: Task, episodes: Sequence[Episode], env_args: Mapping[str, Any]) -> None:
    data.attrs["total"] = sum(len(episode) for episode in episodes)
    data.attrs["env_args"] = json.dumps(dict(env_args))
    data.attrs["problem_info"] = problem_info.encode(task)
    for index, episode in enumerate(episodes):
        group = data.create_group(f"demo_{index}")
        group.attrs["num_samples"] = len(episode)
        group["actions"] = _stored(episode.actions)
        group["rewards"] = _stored(episode.rewards)
        group["dones"] = np.not_equal(episode.dones, 0).astype(np.uint8)
        group["states"] = np.zeros((len(episode), 1), np.float32)  # robomimic expects some simulator state
        for key, array in episode.observations.items():
            group[f"obs/{key}"] = _stored(array)


def _stored(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32, copy=False) if array.dtype.kind == "f" and array.ndim < 4 else array


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


def _task_file(sound: Survey) -> TaskFile:
    return TaskFile(
        path=sound.path,
        task=sound.task,
        demos=tuple(sound.lengths),
        lengths=tuple(sound.lengths.values()),
        observations={key: spec for key, spec in sound.features.items() if key != ACTIONS},
        action=sound.features[ACTIONS],
        masks=sound.masks,
    )


def _refuse(defects: Sequence[Defect], *, hint: str) -> None:
    if defects:
        more = f" (and {len(defects) - 1} more)" if len(defects) > 1 else ""
        raise DatasetError(f"{defects[0]}{more}; {hint}")
