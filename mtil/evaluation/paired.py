"""Success rates with intervals, and their differences on the same placements.

Legend: S seeds of a training, T tasks, P placements of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import bdtr

from mtil.evaluation.crossed import components, components_of_tasks, half_width, p_value
from mtil.evaluation.metrics import MeanResult, wilson_interval

Successes = Bool[np.ndarray, "_ T P"]


@dataclass(frozen=True)
class Difference:
    """Difference of two mean success rates, in [-1, 1], its 95% interval, and how likely chance gives one as large."""

    difference: float
    low: float
    high: float
    p: float


def mean_rate(successes: Bool[np.ndarray, "S T P"], *, tasks_vary: bool = False) -> MeanResult:
    """Mean rate over the tasks: Wilson's interval at the sample size that is effective.

    As many plain coin tosses of the mean rate would vary as much as the mean does over placements and seeds. For one
    seed this is `mtil.evaluation.metrics.mean_interval`.

    Args:
        successes: Of each seed, task and placement.
        tasks_vary: Whether the rate is asked for of tasks like these, of which there must be two, not of these tasks.
    """
    seeds, _, placements = successes.shape
    size = float(seeds * placements)
    rates = successes.mean(axis=(0, 2))
    smoothed = (rates * size + 0.5) / (size + 1)
    tosses = _tosses(smoothed * (1 - smoothed), rates * (1 - rates), size)
    width = half_width(_variances([successes], tosses, tasks_vary=tasks_vary))
    toss = smoothed.mean() * (1 - smoothed.mean())
    # Wilson's interval depends on quantile^2 / size alone, and here that is width^2 / toss.
    effective = np.array([_NORMAL**2 * toss / width**2])
    low, high = wilson_interval(rates.mean() * effective, effective)
    return MeanResult(rate=float(rates.mean()), low=float(low[0]), high=float(high[0]))


def mean_difference(
    first: Bool[np.ndarray, "_ T P"], second: Bool[np.ndarray, "_ T P"], *, tasks_vary: bool = False
) -> Difference:
    """Mean difference over the tasks, first minus second, both having met the same placements.

    The interval is the adjusted one of Bonett and Price (2012, Journal of Educational and Behavioral Statistics
    37:479-488) at the effective sample size. For one seed on either side, p is McNemar's mid-p.

    Args:
        first: Success of each seed, task and placement.
        second: The same of the policy to be subtracted.
        tasks_vary: Whether the difference is asked for in tasks like these, of which there must be two.
    """
    size = first.shape[2] * 2 / (1 / len(first) + 1 / len(second))
    ours, theirs = first.mean(axis=0), second.mean(axis=0)
    cells = np.array([(ours * (1 - theirs)).mean(axis=1), (theirs * (1 - ours)).mean(axis=1)])
    smoothed = (cells * size + 0.5) / (size + 1)
    tosses = _tosses(_pair_variance(smoothed), _pair_variance(cells), size)
    variances = _variances([first, second], tosses, tasks_vary=tasks_vary)
    ratio = half_width(variances) ** 2 / float(_pair_variance(smoothed.mean(axis=1, keepdims=True))[0])
    low, high = _bonett_price(cells.mean(axis=1, keepdims=True), ratio)
    gain = float(ours.mean() - theirs.mean())
    one_each = len(first) == len(second) == 1 and not tasks_vary
    p = mcnemar(int((first & ~second).sum()), int((second & ~first).sum())) if one_each else p_value(gain, variances)
    return Difference(difference=gain, low=low, high=high, p=p)


def mcnemar(first_only: int, second_only: int) -> float:
    """Mid-p value of McNemar's test: how likely so uneven a split of the discordant pairs is, if it is by coin toss.

    Of McNemar's tests the one that keeps its level without wasting it (Fagerland, Lydersen and Laake, 2013, BMC Medical
    Research Methodology 13:91).
    """
    pairs, fewer = first_only + second_only, min(first_only, second_only)
    if first_only == second_only:
        return 1.0
    below = float(bdtr(fewer - 1, pairs, 0.5)) if fewer else 0.0
    return below + float(bdtr(fewer, pairs, 0.5))


def holm(values: Sequence[float]) -> list[float]:
    """The p-values, each adjusted for all of them (Holm, 1979, Scandinavian Journal of Statistics 6:65-70)."""
    order = np.argsort(values, kind="stable")
    steps = np.asarray(values)[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted.tolist()


_NORMAL = 1.959963984540054  # its quantile at 97.5%


def _variances(sides: Sequence[Successes], tosses: "_Tosses", *, tasks_vary: bool) -> Float[np.ndarray, " K"]:
    """What the mean's variance may be; with tasks that vary, no less than without."""
    values = [side.astype(float) for side in sides]
    fixed = components(values, unseen=tosses.unseen, least=tosses.least).draws()
    return np.maximum(fixed, components_of_tasks(values).draws()) if tasks_vary else fixed


@dataclass(frozen=True)
class _Tosses:
    """Variance of the mean of as many coin tosses, and what of it the tosses met do not show."""

    least: float
    unseen: float


def _tosses(smoothed: Float[np.ndarray, " T"], measured: Float[np.ndarray, " T"], size: float) -> _Tosses:
    """From each task's variance with half a success and half a failure added to it, and without."""
    least = float((smoothed / size).sum() / len(smoothed) ** 2)
    return _Tosses(least=least, unseen=least - float((measured / max(size - 1, 1)).sum() / len(smoothed) ** 2))


def _pair_variance(cells: Float[np.ndarray, "2 T"]) -> Float[np.ndarray, " T"]:
    """Variance of one pair's difference, from the shares of pairs that only the first, and only the second solves."""
    return cells.sum(axis=0) - (cells[0] - cells[1]) ** 2


def _bonett_price(cells: Float[np.ndarray, "2 1"], ratio: float) -> tuple[float, float]:
    """The adjusted interval from discordant shares and quantile^2 / size, on which alone it depends."""
    scale = 1 + ratio / 2
    cells = (cells + ratio / 4) / scale
    half = float(np.sqrt(ratio / scale * _pair_variance(cells)[0]))
    gain = float(cells[0, 0] - cells[1, 0])
    return max(gain - half, -1.0), min(gain + half, 1.0)
