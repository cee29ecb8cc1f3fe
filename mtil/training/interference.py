"""How tasks interfere at fixed weights, and what the way of drawing batches does to the gradient's variance: measured.

Legend: T tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mtil.training.batch_schemes import BatchScheme, Stratified, TasksAtRandom, WindowsAtRandom
from mtil.training.gradient_variance import BatchSpread, batch_spread, bootstrap_means, interval
from mtil.training.gradients import (
    Population,
    TaskGradients,
    WindowGradient,
    agreement,
    cosines,
    shares,
    task_gradients,
)

_RELIABLE = 0.5  # below it, more of a gradient's squared norm is noise than is not


@dataclass(frozen=True)
class TaskInterference:
    """One task's gradient; None where noise leaves nothing of it.

    Attributes:
        task: Name.
        windows: Training windows.
        read: Those that its gradient was measured on.
        weight: In the run's objective.
        norm: Of the gradient of its mean NLL.
        share: Of the objective's gradient `g`: `w_i <g_i, g> / |g|^2`. They sum to one.
        reliability: Share of the squared norm measured that is not noise; 1 if all windows were read.
        scatter: Variance of a window's gradient about the task's, summed over parameters.
        wording: What it varies by in addition if the task is told by one of its descriptors at random.
    """

    task: str
    windows: int
    read: int
    weight: float
    norm: float | None
    share: float | None
    reliability: float | None
    scatter: float
    wording: float


@dataclass(frozen=True)
class SchemeVariance:
    """Variance `E |g_batch - g|^2` of the gradient of batches drawn by one scheme.

    Attributes:
        scheme: Name.
        variance: Measured; `low` and `high` are its 95% interval.
        ratio: To the variance of stratified batches, None if these do not vary; `ratio_low` and `ratio_high` are its
            95% interval.
        within: The part measured within tasks.
        between: The part measured between tasks.
        expected_within: The part within tasks by theory.
        expected_between: The part between tasks by theory.
        noise_scale: `B * variance / |g|^2`, in examples: B_simple of McCandlish et al. 2018, arXiv:1812.06162. None if
            noise leaves nothing of `g`.
    """

    scheme: str
    variance: float
    low: float
    high: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    within: float
    between: float
    expected_within: float
    expected_between: float
    noise_scale: float | None


@dataclass(frozen=True)
class ObjectiveVariance:
    """Schemes whose batches have the same expected loss, `sum_i w_i * (mean NLL of task i)`.

    Attributes:
        objective: Name.
        weights: `w` of each task, summing to one.
        squared_norm: Of the gradient of the expected loss, unbiased.
        schemes: Stratified first.
    """

    objective: str
    weights: tuple[float, ...]
    squared_norm: float
    schemes: tuple[SchemeVariance, ...]


@dataclass(frozen=True)
class Interference:
    """What was measured.

    Attributes:
        tasks: In the order of the vocabulary.
        cosines: Of their gradients; None where a task's `reliability` is below one half.
        agreement: `|sum_i w_i g_i| / sum_i w_i |g_i|`: 1 if all pull the same way, 0 if they cancel, as at a minimum.
        objectives: The run's own first.
    """

    tasks: tuple[TaskInterference, ...]
    cosines: tuple[tuple[float | None, ...], ...]
    agreement: float | None
    objectives: tuple[ObjectiveVariance, ...]


def measure(
    gradient: WindowGradient,
    population: Population,
    *,
    names: Sequence[str],
    objectives: Mapping[str, Sequence[float]],
    batches: int,
    batch_size: int,
    seed: int,
) -> Interference:
    """Measure the tasks' gradients and the variance of batches.

    Args:
        gradient: The gradient of a weighted sum of losses.
        population: The windows.
        names: Of the tasks.
        objectives: By name, the weights of the tasks, the run's own first.
        batches: Batches of each scheme, and groups of windows of each task: at least 2.
        batch_size: Examples in a batch.
        seed: Decides what is drawn.
    """
    rng = np.random.default_rng(seed)
    tasks = task_gradients(gradient, population, groups=batches, batch_size=batch_size, rng=rng)
    variances = []
    for name, weights in objectives.items():
        schemes = [
            kind(population, weights=weights, batch_size=batch_size)
            for kind in (Stratified, TasksAtRandom, WindowsAtRandom)
        ]
        spreads = [batch_spread(gradient, scheme, tasks, batches=batches, seed=seed) for scheme in schemes]
        variances.append(_objective(name, schemes, spreads, tasks, rng))
    weights = np.array(variances[0].weights)
    return Interference(
        tasks=_tasks(names, tasks, weights),
        cosines=_cosines(tasks),
        agreement=_known(agreement(tasks.gram, weights)),
        objectives=tuple(variances),
    )


def _tasks(
    names: Sequence[str], tasks: TaskGradients, weights: Float[np.ndarray, " T"]
) -> tuple[TaskInterference, ...]:
    norms = np.sqrt(np.maximum(np.diag(tasks.gram), 0))
    share = shares(tasks.gram, weights)
    return tuple(
        TaskInterference(
            task=name,
            windows=int(tasks.windows[i]),
            read=int(tasks.read[i]),
            weight=float(weights[i]),
            norm=float(norms[i]) or None,
            share=_known(share[i]),
            reliability=_known(tasks.reliability[i]),
            scatter=float(tasks.scatter[i]),
            wording=float(tasks.wording[i]),
        )
        for i, name in enumerate(names)
    )


def _cosines(tasks: TaskGradients) -> tuple[tuple[float | None, ...], ...]:
    reliable = tasks.reliability >= _RELIABLE
    found = np.where(np.outer(reliable, reliable), cosines(tasks.gram), np.nan)
    return tuple(tuple(map(_known, row)) for row in found.tolist())


def _objective(
    name: str,
    schemes: Sequence[BatchScheme],
    spreads: Sequence[BatchSpread],
    tasks: TaskGradients,
    rng: np.random.Generator,
) -> ObjectiveVariance:
    weights = schemes[0].weights
    squared_norm = float(weights @ tasks.gram @ weights)
    totals = np.stack([spread.total for spread in spreads])
    means = np.column_stack([totals.mean(axis=1), bootstrap_means(totals, rng)])
    ratios = means / np.where(means[0] > 0, means[0], np.nan)
    rows = [_scheme(*parts, squared_norm=squared_norm) for parts in zip(schemes, spreads, means, ratios, strict=True)]
    return ObjectiveVariance(name, tuple(weights.tolist()), squared_norm, tuple(rows))


def _scheme(
    scheme: BatchScheme,
    spread: BatchSpread,
    means: Float[np.ndarray, " _"],
    ratios: Float[np.ndarray, " _"],
    *,
    squared_norm: float,
) -> SchemeVariance:
    """One scheme's row; of means and ratios the first is of the sample, the others of resamples."""
    variance, (low, high), (ratio_low, ratio_high) = float(means[0]), interval(means[1:]), interval(ratios[1:])
    return SchemeVariance(
        scheme=scheme.name,
        variance=variance,
        low=low,
        high=high,
        ratio=_known(ratios[0]),
        ratio_low=_known(ratio_low),
        ratio_high=_known(ratio_high),
        within=float(spread.within.mean()),
        between=float(spread.between.mean()),
        expected_within=spread.expected_within,
        expected_between=spread.expected_between,
        noise_scale=scheme.batch_size * variance / squared_norm if squared_norm > 0 else None,
    )


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
