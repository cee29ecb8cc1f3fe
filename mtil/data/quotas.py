"""How much of each batch is a task's.

Legend: W windows, T tasks.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from mtil.data.config import DataConfig, StratifiedSampling, UniformSampling
from mtil.data.store import DemoStore
from mtil.errors import ConfigError, unknown


def task_weights(config: DataConfig, task: Int[np.ndarray, " W"], store: DemoStore) -> list[float]:
    """The relative weight of each task of the vocabulary, zero where no window is of it.

    Args:
        config: How windows are sampled, and whether tasks are rehearsed.
        task: Position of each training window's task.
        store: Where the windows are from.

    Raises:
        ConfigError: Weights by name do not fit the tasks, or the sampling not the rehearsal.
    """
    names = store.spec.task_names
    windows = dict(zip(names, np.bincount(task, minlength=len(names)).tolist(), strict=True))
    present = {name: count for name, count in windows.items() if count}
    weights = _weights(config, present)
    if config.rehearsal is not None:
        weights = _shared_out(weights, store.rehearsed, config.rehearsal.share)
    return [weights.get(name, 0.0) for name in names]


def _weights(config: DataConfig, windows: Mapping[str, int]) -> dict[str, float]:
    sampling = config.sampling
    if config.rehearsal is not None and (isinstance(sampling, UniformSampling) or sampling.weights is not None):
        raise ConfigError("data.rehearsal: its share needs stratified sampling without weights by name (data.sampling)")
    match sampling:
        case UniformSampling():
            return {name: float(n) for name, n in windows.items()}
        case StratifiedSampling(weights=None, alpha=alpha):
            return {name: float(n) ** alpha for name, n in windows.items()}
        case StratifiedSampling(weights=dict() as weights):
            _check_names(weights, list(windows))
            return weights
        case _:
            raise AssertionError(sampling)


def _shared_out(weights: Mapping[str, float], rehearsed: Sequence[str], share: float) -> dict[str, float]:
    """The same proportions among the new tasks and among those that are rehearsed, which together have their share."""
    old = {name: weight for name, weight in weights.items() if name in rehearsed}
    new = {name: weight for name, weight in weights.items() if name not in rehearsed}
    parts = ((new, 1 - share), (old, share))
    return {name: part * weight / sum(group.values()) for group, part in parts for name, weight in group.items()}


def _check_names(weights: Mapping[str, float], names: Sequence[str]) -> None:
    for name in weights:
        if name not in names:
            raise ConfigError(f"data.sampling.weights: {unknown('task', name, names)}")
    for name in names:
        if name not in weights:
            raise ConfigError(f"data.sampling.weights: no weight for task {name!r}; expected one for each task")
