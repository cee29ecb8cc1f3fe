"""Putting right what is known to be wrong about recordings: LIBERO's images and its timing.

Legend: T time steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from mtil.data.images import Images, Stamp
from mtil.data.task_demos import TaskDemos
from mtil.errors import ConfigError, DatasetError, unknown
from mtil.types import Episode

Correction = Literal["flip", "rotate", "timing"]

CORRECTIONS: dict[str, str] = {
    "flip": "images upside down: their rows are reversed",
    "rotate": "images turned by half a circle, as OpenVLA and others do with LIBERO's: rows and columns are reversed",
    "timing": "observations seen after the action beside them: each goes with the action that follows; the first "
    "action and the last observation of a demonstration are left out",
}
"""What can be put right, and how."""


def read_corrections(names: Sequence[str]) -> tuple[Correction, ...]:
    """Corrections by name.

    Raises:
        ConfigError: There is none of a name, or two exclude each other.
    """
    for name in names:
        if name not in CORRECTIONS:
            raise ConfigError(f"--fix: {unknown('correction', name, CORRECTIONS)}")
    if {"flip", "rotate"} <= set(names):
        raise ConfigError("--fix: expected flip or rotate, found both")
    return tuple(dict.fromkeys(names))  # pyright: ignore[reportReturnType]


def corrected(task: TaskDemos, corrections: Sequence[Correction]) -> TaskDemos:
    """A task's demonstrations, put right as they are read.

    Raises:
        DatasetError: A demonstration is too short to be.
    """
    if not corrections:
        return task
    if "timing" in corrections and min(task.lengths) < 2:
        short = task.demos[task.lengths.index(min(task.lengths))]
        raise DatasetError(f"{task.path}: {short}: expected two steps or more to correct its timing, found one")
    return _Corrected(
        path=task.path,
        task=task.task,
        demos=task.demos,
        lengths=tuple(length - ("timing" in corrections) for length in task.lengths),
        observations=task.observations,
        action=task.action,
        masks=task.masks,
        env_args=task.env_args,
        source=task,
        corrections=tuple(corrections),
    )


@dataclass(frozen=True)
class _Corrected(TaskDemos):
    source: TaskDemos
    corrections: tuple[Correction, ...]

    def images(self, key: str) -> Iterator[Images]:
        raise NotImplementedError("corrected demonstrations are read whole, to be written anew")

    def unread(self) -> tuple[str, ...]:
        return self.source.unread()

    def stamp(self) -> Stamp:
        return self.source.stamp()

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        for episode in self.source.episodes(keys, demos):
            yield _corrected(episode, self.corrections)


def _corrected(episode: Episode, corrections: Sequence[Correction]) -> Episode:
    observations = {key: _upright(array, corrections) for key, array in episode.observations.items()}
    if "timing" not in corrections:
        return replace(episode, observations=observations)
    return Episode(
        observations={key: array[:-1] for key, array in observations.items()},
        actions=episode.actions[1:],
        rewards=episode.rewards[1:],
        dones=episode.dones[1:],
    )


def _upright(array: np.ndarray, corrections: Sequence[Correction]) -> np.ndarray:
    if array.ndim < 4 or not {"flip", "rotate"} & set(corrections):
        return array
    return np.ascontiguousarray(array[:, ::-1, ::-1] if "rotate" in corrections else array[:, ::-1])
