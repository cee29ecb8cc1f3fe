"""Whether a policy does what it is told: success when it is told another task, or nothing."""

from collections.abc import Sequence
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


def controlled(told: Descriptors, control: Control | None, *, seed: int) -> Descriptors:
    """What tells the tasks, under a control.

    Args:
        told: What tells each evaluated task.
        control: `"wrong"`: each is told as another one is, all in one random cycle; `"absent"`: z is zeros.
        seed: Decides the cycle.

    Raises:
        ConfigError: There is no other task.
    """
    match control:
        case None:
            return told
        case "wrong":
            return _of_another(told, seed)
        case "absent":
            return {task: [Descriptor("", torch.zeros_like(each[0].z))] for task, each in told.items()}
        case _:
            assert_never(control)


def other_tasks(tasks: Sequence[Task], *, seed: int) -> dict[Task, Task]:
    """Another task for each of two or more, all in one random cycle."""
    cycle = [tasks[index] for index in np.random.default_rng(seed).permutation(len(tasks))]
    following = dict(zip(cycle, [*cycle[1:], cycle[0]], strict=True))
    return {task: following[task] for task in tasks}


def _of_another(told: Descriptors, seed: int) -> Descriptors:
    tasks = list(told)
    if len(tasks) < 2:
        raise ConfigError(f"control 'wrong': expected two tasks at least, to tell one as the other; found {tasks[0]!r}")
    others = other_tasks(tasks, seed=seed)
    return {task: told[others[task]] for task in tasks}
