"""Which of a policy's tasks live in a suite."""

from collections.abc import Sequence
from contextlib import closing

import gymnasium

from mtil.sim.base import Simulator
from mtil.types import DatasetSpec


def residents(spec: DatasetSpec, simulator: Simulator) -> list[str]:
    """The tasks of a policy that a suite has, in the suite's order.

    Tasks of several datasets may be called alike in their simulators; then those live in a suite that it shows what
    their dataset has of states.

    Args:
        spec: Of the policy.
        simulator: The suite.
    """
    named = {task: spec.simulated(task) for task in spec.task_names}
    there = [each for suite in simulator.tasks() for each, name in named.items() if name == suite.name]
    datasets = {task: spec.embodiment(task) for task in there}
    if len({*datasets.values()}) < 2:
        return there
    first = {dataset: task for task, dataset in reversed(datasets.items())}
    shown = [dataset for dataset, task in first.items() if _shows(simulator, spec, task)]
    return [task for task in there if not shown or datasets[task] in shown]


def ordered(tasks: Sequence[str], spec: DatasetSpec, simulator: Simulator) -> list[str]:
    """Tasks in the order that the suite has them in; of those that it calls alike, in their own."""
    suite = [task.name for task in simulator.tasks()]
    return sorted(tasks, key=lambda task: suite.index(spec.simulated(task)))


def _shows(simulator: Simulator, spec: DatasetSpec, task: str) -> bool:
    """Whether a task's states are among what the suite shows of the task of its name."""
    keys = spec.keys(task)
    states = {
        keys[each.key]: spec.width(each.key, task)
        for each in spec.observations
        if each.kind == "state" and each.key in keys
    }
    with closing(simulator.make(spec.simulated(task))) as env:
        space = env.observation_space
    if not isinstance(space, gymnasium.spaces.Dict):
        return True
    return all(key in space.spaces and space[key].shape == (width,) for key, width in states.items())
