"""What was asked for, and what became of it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import h5py

from mtil.data.hdf5 import open_task
from mtil.errors import ConfigError, OutputError

_KEY = "collection"


@dataclass(frozen=True)
class CollectionSettings:
    """What decides every byte of a collected file; kept in its `env_args`.

    Attributes:
        suite: Name of the simulator.
        seed: Decides placements and noise.
        noise: Standard deviation of the Gaussian noise on executed actions, in units of the action; the expert's clean
            action is the label.
        episodes_per_task: Successful episodes in each file.
        max_steps: Steps after which an attempt has failed, of every task or of those named; None: the simulator's
            horizon. An expert that hesitates in some attempts teaches to hesitate: this keeps those out.
        steps_after_success: Steps recorded beyond the first success, which teach the policy to stay at its goal.

    Raises:
        ConfigError: A number is out of its range.
    """

    suite: str
    seed: int
    noise: float
    episodes_per_task: int
    max_steps: int | Mapping[str, int] | None = None
    steps_after_success: int = 0

    def __post_init__(self) -> None:
        for name, least in {
            "seed": 0,
            "noise": 0,
            "episodes_per_task": 1,
            "max_steps": 1,
            "steps_after_success": 0,
        }.items():
            value = getattr(self, name)
            for each in value.values() if isinstance(value, Mapping) else [value]:
                if each is not None and not each >= least:
                    raise ConfigError(f"{name}: expected at least {least}, found {each}")

    def of(self, task: str) -> "CollectionSettings":
        """What is asked for of one task."""
        return replace(self, max_steps=self.longest(task))

    def longest(self, task: str) -> int | None:
        """Steps after which an attempt at a task has failed; None: the simulator's horizon."""
        return self.max_steps.get(task) if isinstance(self.max_steps, Mapping) else self.max_steps

    def __str__(self) -> str:
        return ", ".join(f"{name} {_words(value)}" for name, value in asdict(self).items() if value is not None)


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
    """`env_args` that tell how the file came about."""
    return {**env_args, _KEY: {**asdict(settings), "attempts": attempts}}


def read_report(path: Path, task: str, settings: CollectionSettings) -> TaskReport:
    """The report on a file that is there already.

    Raises:
        OutputError: It was not collected with these settings.
    """
    found = _signature(path)
    attempts = found.pop("attempts", 0)
    if found != asdict(settings):
        was = ", ".join(f"{name} {value}" for name, value in found.items()) or "something that was not collected"
        raise OutputError(f"{path}: expected demonstrations with {settings}, found {was}; choose another folder")
    lengths = open_task(path).lengths
    return TaskReport(task=task, demos=len(lengths), attempts=attempts, steps=sum(lengths))


def _signature(path: Path) -> dict[str, Any]:
    try:
        with h5py.File(path, "r") as file:
            return dict(json.loads(str(file["data"].attrs["env_args"]))[_KEY])
    except (OSError, KeyError, TypeError, ValueError):
        return {}


def _words(value: object) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return " ".join(f"{task}: {number}" for task, number in value.items())
