"""How much of each batch is a dataset's, and a task's.

Legend: W windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from mtil.data.config import DataConfig, StratifiedSampling, UniformSampling
from mtil.data.naming import name_of
from mtil.data.store import DemoStore
from mtil.errors import ConfigError, unknown


@dataclass(frozen=True)
class Group:
    """Tasks that have a share of each batch together: those of a dataset, or those that are rehearsed.

    Attributes:
        share: Theirs, relative to other groups.
        weights: By the name of each that has windows, its share relative to the others.
        mingled: Whether windows are drawn whatever their task, in these proportions only on average.
    """

    share: float
    weights: Mapping[str, float]
    mingled: bool = False


@dataclass(frozen=True)
class Strata:
    """What batches are stratified over: tasks, or groups of them where windows are drawn whatever their task.

    Attributes:
        stratum: Of each window.
        weights: Of each stratum in its group.
        groups: Position of each stratum's group.
    """

    stratum: Int[np.ndarray, " W"]
    weights: Sequence[float]
    groups: Sequence[int]

    @staticmethod
    def of(groups: Sequence[Group], task: Int[np.ndarray, " W"], names: Sequence[str]) -> "Strata":
        """The strata of windows, given the position of each one's task; those of tasks are in the tasks' order."""
        owner = {name: number for number, group in enumerate(groups) for name in group.weights}
        present = [name for name in names if name in owner]
        if any(group.mingled for group in groups):
            stratum = {name: owner[name] for name in present}
            weights, own = [1.0] * len(groups), list(range(len(groups)))
        else:
            stratum = {name: number for number, name in enumerate(present)}
            weights, own = [groups[owner[name]].weights[name] for name in present], [owner[name] for name in present]
        of_task = np.array([stratum.get(name, -1) for name in names])
        return Strata(of_task[task], weights, own)


def quotas(config: DataConfig, task: Int[np.ndarray, " W"], store: DemoStore) -> list[Group]:
    """The groups of tasks of a batch; every task with windows is in one.

    Args:
        config: How windows are sampled, what is mixed, and whether tasks are rehearsed.
        task: Position of each training window's task.
        store: Where the windows are from.

    Raises:
        ConfigError: Weights by name do not fit the tasks.
    """
    names = store.spec.task_names
    counts = np.bincount(task, minlength=len(names)).tolist()
    windows = {name: count for name, count in zip(names, counts, strict=True) if count}
    if isinstance(config.sampling, StratifiedSampling) and config.sampling.weights is not None:
        _check_names(config.sampling.weights, list(windows))
    found = []
    for share, tasks in _groups(config, store):
        own = {name: count for name, count in windows.items() if name in tasks}
        if own:
            found.append(Group(share, _weights(config, own), isinstance(config.sampling, UniformSampling)))
    return found


def task_weights(groups: Sequence[Group], names: Sequence[str]) -> list[float]:
    """The relative weight of each task of a vocabulary in the objective, zero where no window is of it."""
    if len(groups) == 1:
        return [groups[0].weights.get(name, 0.0) for name in names]
    whole = sum(group.share for group in groups)
    found = dict.fromkeys(names, 0.0)
    for group in groups:
        part = group.share / whole / sum(group.weights.values())
        found |= {name: part * weight for name, weight in group.weights.items()}
    return list(found.values())


def _groups(config: DataConfig, store: DemoStore) -> list[tuple[float, Sequence[str]]]:
    """Shares and tasks of what has a share of its own."""
    new = [name for name in store.spec.task_names if name not in store.rehearsed]
    groups: list[tuple[float, Sequence[str]]] = [(1.0, new)]
    if config.mixture:
        own = {each.name: each.tasks for each in store.spec.embodiments}
        members = [(dataset.weight, own[name_of(dataset)]) for dataset in config.mixture]
        groups = [(weight, [task for task in tasks if task in new]) for weight, tasks in members]
    if config.rehearsal is None:
        return groups
    part = (1 - config.rehearsal.share) / sum(weight for weight, _ in groups)
    return [*((part * weight, tasks) for weight, tasks in groups), (config.rehearsal.share, store.rehearsed)]


def _weights(config: DataConfig, windows: Mapping[str, int]) -> dict[str, float]:
    """Of the tasks of a group."""
    match config.sampling:
        case UniformSampling():
            return {name: float(n) for name, n in windows.items()}
        case StratifiedSampling(weights=None, alpha=alpha):
            return {name: float(n) ** alpha for name, n in windows.items()}
        case StratifiedSampling(weights=dict() as weights):
            return {name: weights[name] for name in windows}
        case _:
            raise AssertionError(config.sampling)


def _check_names(weights: Mapping[str, float], names: Sequence[str]) -> None:
    for name in weights:
        if name not in names:
            raise ConfigError(f"data.sampling.weights: {unknown('task', name, names)}")
    for name in names:
        if name not in weights:
            raise ConfigError(f"data.sampling.weights: no weight for task {name!r}; expected one for each task")
