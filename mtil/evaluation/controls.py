"""Whether a policy does what it is told: success when it is told another task, or nothing."""

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar, assert_never, get_args

import numpy as np
import torch

from mtil.errors import ConfigError, unknown
from mtil.evaluation.conditioning import Descriptor, Descriptors
from mtil.evaluation.metrics import Control

Task = TypeVar("Task", str, int)


def read_control(name: str | None) -> Control | None:
    """The control of that name.

    Raises:
        ConfigError: There is none.
    """
    for control in get_args(Control):
        if name == control:
            return control
    if name is not None:
        raise ConfigError(unknown("control", name, get_args(Control)))
    return None


def controlled(
    told: Descriptors, control: Control | None, *, seed: int, called: Callable[[str], str] = str
) -> Descriptors:
    """What tells the tasks, under a control.

    Args:
        told: What tells each evaluated task.
        control: `"wrong"`: each is told as another one is, all in one random cycle; `"absent"`: z is zeros.
        seed: Decides the cycle.
        called: What a task is called in its simulator: tasks that are called alike are no others of each other.

    Raises:
        ConfigError: There is no other task.
    """
    match control:
        case None:
            return told
        case "wrong":
            return _of_another(told, seed, called)
        case "absent":
            return {task: [Descriptor("", torch.zeros_like(each[0].z))] for task, each in told.items()}
        case _:
            assert_never(control)


def other_tasks(tasks: Sequence[Task], *, seed: int, called: Callable[[Task], Hashable]) -> dict[Task, Task]:
    """Another task for each, all in one random cycle; of those that are called alike, the first; none for one alone."""
    first: dict[Hashable, Task] = {}
    for task in tasks:
        first.setdefault(called(task), task)
    names = list(first)
    cycle = [names[index] for index in np.random.default_rng(seed).permutation(len(names))]
    following = dict(zip(cycle, [*cycle[1:], *cycle[:1]], strict=True))
    return {task: first[following[called(task)]] for task in tasks} if len(names) > 1 else {}


def _of_another(told: Descriptors, seed: int, called: Callable[[str], str]) -> Descriptors:
    tasks = list(told)
    others = other_tasks(tasks, seed=seed, called=called)
    if not others:
        found = ", ".join(map(repr, tasks))
        raise ConfigError(f"control 'wrong': expected two tasks at least, to tell one as the other; found {found}")
    return {task: told[others[task]] for task in tasks}
