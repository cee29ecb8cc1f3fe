"""What was asked for, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
from pydantic import ValidationError

from mtil.collection.config import CollectionConfig
from mtil.data import cameras
from mtil.data.hdf5.task_file import open_task
from mtil.errors import ConfigError, OutputError

_KEY = "collection"


class CollectionSettings(CollectionConfig):
    """What decides every byte of a collected file; kept in its `env_args`.

    Attributes:
        suite: Name of the simulator.
    """

    suite: str

    def of(self, task: str) -> "CollectionSettings":
        """What is asked for of one task."""
        return self.model_copy(update={"max_steps": self.longest(task)})

    def longest(self, task: str) -> int | None:
        """Steps after which an attempt at a task has failed; None: the simulator's horizon."""
        return self.max_steps.get(task) if isinstance(self.max_steps, Mapping) else self.max_steps

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, the suite first."""
        return {"suite": self.suite, **self.model_dump(mode="json")}

    def __str__(self) -> str:
        return _told(self.to_json())


@dataclass(frozen=True)
class TaskReport:
    """What became of one task.

    Attributes:
        task: Name of the task.
        demos: Successful episodes.
        attempts: Episodes tried.
        steps: Time steps of the successful ones.
    """

    task: str
    demos: int
    attempts: int
    steps: int

    @property
    def failures(self) -> int:
        return self.attempts - self.demos


@dataclass(frozen=True)
class CollectionReport:
    """What became of every task, in the order asked for."""

    tasks: tuple[TaskReport, ...]


def is_collected(path: Path) -> bool:
    """Whether a file tells that it was collected here, rather than brought by the user."""
    return bool(_signature(path))


def signed(env_args: Mapping[str, Any], settings: CollectionSettings, attempts: int) -> dict[str, Any]:
    """`env_args` that tell how the file came about, and what its images show."""
    return {**cameras.encode(env_args, settings.views), _KEY: {**settings.to_json(), "attempts": attempts}}


def read_report(path: Path, task: str, settings: CollectionSettings) -> TaskReport:
    """The report on a file that is there already.

    Raises:
        OutputError: It was not collected with these settings.
    """
    found = _signature(path)
    attempts = found.pop("attempts", 0)
    if not _is(found, settings):
        was = _told(found) or "something that was not collected"
        raise OutputError(f"{path}: expected demonstrations with {settings}, found {was}; choose another folder")
    lengths = open_task(path).lengths
    return TaskReport(task=task, demos=len(lengths), attempts=attempts, steps=sum(lengths))


def _signature(path: Path) -> dict[str, Any]:
    try:
        with h5py.File(path, "r") as file:
            return dict(json.loads(str(file["data"].attrs["env_args"]))[_KEY])
    except (OSError, KeyError, TypeError, ValueError):
        return {}


def _is(found: Mapping[str, Any], settings: CollectionSettings) -> bool:
    """Whether a file was collected with these settings; it need not tell what there was no choice of at its time."""
    try:
        return CollectionSettings.model_validate(found) == settings
    except (ValidationError, ConfigError):
        return False


def _told(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_words(value)}" for name, value in settings.items() if value not in (None, {}))


def _words(value: object) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return " ".join(f"{name}: {_words(each)}" for name, each in value.items() if each is not None)
