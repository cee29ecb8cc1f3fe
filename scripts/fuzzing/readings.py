"""A dataset read in every way that there is, and compared with what it was before it was damaged."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mtil.data.formats import open_tasks
from mtil.data.frames import Frames
from mtil.data.inspection import inspect
from mtil.data.task_demos import TaskDemos
from mtil.errors import MtilError
from mtil.types import Episode

Difference = Literal["nothing", "words", "values"]
"""What differs: what is told of tasks and their demonstrations, or also (or only) values of arrays."""

Arrays = Mapping[str, np.ndarray]


class WrongError(Exception):
    """Our own code broke a promise."""


@dataclass(frozen=True)
class Reading:
    """All that there is in a dataset.

    Attributes:
        told: Of each task, everything but values.
        episodes: Of all tasks, one after the other: arrays by key.
        frames: By key of images, those of all episodes.
    """

    told: tuple[object, ...]
    episodes: tuple[Arrays, ...]
    frames: Arrays

    def differs(self, sound: "Reading") -> Difference:
        """What is not as it was; an observation that is gone altogether is a matter of words."""
        if len(self.episodes) != len(sound.episodes):
            return "values"
        for mine, theirs in zip((*self.episodes, self.frames), (*sound.episodes, sound.frames), strict=True):
            if not all(_same(array, theirs.get(key)) for key, array in mine.items()):
                return "values"
        return "nothing" if self.told == sound.told and self.frames.keys() == sound.frames.keys() else "words"


def read(path: Path, *, frames_first: bool = False) -> Reading | None:
    """Read a dataset; None if it is refused.

    Args:
        path: The dataset.
        frames_first: Whether images are taken before demonstrations are read: what is refused first hides the rest.

    Raises:
        WrongError: The ways of reading disagree, or a message cannot be shown.
        Exception: Whatever our own code lets through.
    """
    defects = _inspected(path)
    try:
        tasks = open_tasks(path)
        frames = _frames(tasks) if frames_first else {}
        episodes = tuple(_arrays(episode) for task in tasks for episode in task.episodes())
        frames = frames or _frames(tasks)
    except MtilError as error:
        _check_message(str(error))
        if not defects:
            raise WrongError(f"`inspect` finds nothing wrong, but: {error}") from None
        return None
    if defects:
        raise WrongError(f"all of it can be read, but `inspect` finds: {defects[0]}")
    _check_agreement(tasks, episodes, frames)
    return Reading(tuple(map(_told, tasks)), episodes, frames["once"])


def _inspected(path: Path) -> list[str]:
    """Defects that `inspect` finds, or the error in which it ends."""
    try:
        found = inspect(path)
        json.dumps(found.to_json(), allow_nan=False)
        messages = [str(defect) for defect in found.defects]
    except MtilError as error:
        messages = [str(error)]
    for message in messages:
        _check_message(message)
    return messages


def _arrays(episode: Episode) -> Arrays:
    return {
        **episode.observations,
        "actions": episode.actions,
        "rewards": np.asarray(episode.rewards),
        "dones": np.asarray(episode.dones),
    }


def _frames(tasks: list[TaskDemos]) -> dict[str, Arrays]:
    """All images, by how they are decoded."""
    keys = [key for key, spec in tasks[0].observations.items() if spec.kind == "image"]
    found: dict[str, dict[str, np.ndarray]] = {"once": {}, "on_the_fly": {}}
    for key in keys:
        if all(key in task.observations for task in tasks):
            once, fly = Frames(tasks, key), Frames(tasks, key, decoding="on_the_fly")
            found["once"][key] = once.take(np.arange(len(once))[None]).numpy()[0]
            found["on_the_fly"][key] = fly.take(np.arange(len(fly))[None]).numpy()[0]
    return {**found}


def _check_agreement(tasks: list[TaskDemos], episodes: tuple[Arrays, ...], frames: dict[str, Arrays]) -> None:
    """Images are the same, however they are read; of a damaged film a decoder makes up what it likes."""
    if any(path.suffix == ".mp4" for task in tasks if task.path.is_dir() for path in task.path.rglob("*")):
        return
    for key, once in frames["once"].items():
        ways = (frames["on_the_fly"][key], np.concatenate([episode[key] for episode in episodes]))
        if not all(_same(once, other) for other in ways):
            raise WrongError(f"{key}: images differ by how they are read")


def _check_message(message: str) -> None:
    if "\n" in message or len(message.encode()) > 4000:
        raise WrongError(f"a message of more than a line: {message[:200]!r}")


def _told(task: TaskDemos) -> tuple[object, ...]:
    specs: Any = {key: (spec.shape, spec.kind, spec.camera) for key, spec in task.observations.items()}
    return task.task, task.demos, task.lengths, specs, task.action.shape, dict(task.masks), dict(task.env_args)


def _same(one: np.ndarray, other: np.ndarray | None) -> bool:
    return other is not None and one.dtype == other.dtype and np.array_equal(one, other)
