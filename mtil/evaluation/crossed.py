"""How sure one may be of a mean rate, or of a difference of two, where several trainings meet the same placements.

Seeds of a training are crossed with tasks and placements, not nested in them: a hard placement is hard for every seed,
and a bad seed is bad in every episode. Legend: S seeds, T tasks, P placements of each, K nodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from jaxtyping import Float
from scipy.special import gammaincinv, ndtr

_NODES = 1024
_PLASTIC = 1.324717957244746
_STEPS, _TOLERANCE = 100, 1e-12


@dataclass(frozen=True)
class VarianceComponents:
    """What the variance of a mean, or of a difference of two, consists of.

    Attributes:
        units: Variance as the placements (or the tasks) show it, averaged over the seeds at hand.
        units_freedom: Its degrees of freedom; infinite where they are too many to matter.
        seeds: Variance as the seeds show it, the chance of single episodes included; 0 where each side has one.
        seeds_freedom: Its degrees of freedom.
        noise: The part of either that single episodes explain: all of `seeds`, if all trainings were alike.
        unseen: What successes and failures that were not met, but might have been, add.
        least: What tosses of coins would show, as many as there were episodes: nothing varies less.
    """

    units: float
    units_freedom: float
    seeds: float
    seeds_freedom: float
    noise: float
    unseen: float
    least: float

    def draws(self) -> Float[np.ndarray, " K"]:
        """Values of the whole variance that the data speak for, each as likely as another.

        A component estimated as V with d degrees of freedom has the fiducial distribution V d / chi2(d), so that a
        normal variable of that variance follows Student's t (generalised inference: Weerahandi, 1993, JASA
        88:899-905). It is cut off where a component would be negative: seeds cannot vary less than their episodes do.
        """
        shared = np.maximum(self.units * _inverse_chi2(1, self.units_freedom) - self.noise, 0)
        seeds = np.maximum(self.seeds * _inverse_chi2(2, self.seeds_freedom), self.noise)
        return np.maximum(shared + seeds + self.unseen, self.least)


def components(sides: Sequence[Float[np.ndarray, "_ T P"]], *, unseen: float, least: float) -> VarianceComponents:
    """Variance of the mean over these tasks' placements and over the seeds, or of the difference of two such means.

    Args:
        sides: Success of each seed, task and placement; of one policy, or of the two to be subtracted.
        unseen: What unmet successes and failures add to the variance.
        least: Variance of as many tosses of coins.
    """
    return _components(sides, units_freedom=np.inf, unseen=unseen, least=least)


def components_of_tasks(sides: Sequence[Float[np.ndarray, "_ T P"]]) -> VarianceComponents:
    """The same where the tasks, two at least, are but a sample of those that one asks about."""
    rates = [side.mean(axis=2)[:, np.newaxis] for side in sides]
    return _components(rates, units_freedom=rates[0].shape[2] - 1.0, unseen=0.0, least=0.0)


def half_width(variances: Float[np.ndarray, " K"], *, confidence: float = 0.95) -> float:
    """How far a normal variable strays with this confidence if its variance is any of these, each as likely."""
    precision = 1 / np.sqrt(variances)
    width = NormalDist().inv_cdf((1 + confidence) / 2) / float(precision.max())
    for _ in range(_STEPS):  # Newton's, which from below never oversteps: what is inside is a concave function
        inside = 2 * np.mean(ndtr(width * precision)) - 1
        density = np.mean(precision * np.exp(-((width * precision) ** 2) / 2)) * np.sqrt(2 / np.pi)
        step = float((confidence - inside) / density)
        width += step
        if abs(step) < _TOLERANCE * width:
            break
    return width


def p_value(difference: float, variances: Float[np.ndarray, " K"]) -> float:
    """Probability of so large a difference, of either sign, if there is none in truth."""
    return float(2 * np.mean(ndtr(-abs(difference) / np.sqrt(variances))))


def _components(
    sides: Sequence[Float[np.ndarray, "_ G U"]], *, units_freedom: float, unseen: float, least: float
) -> VarianceComponents:
    mean = sides[0].mean(axis=0) - (sides[1].mean(axis=0) if len(sides) == 2 else 0)
    several = [side for side in sides if len(side) > 1]
    between = [float(side.mean(axis=(1, 2)).var(ddof=1) / len(side)) for side in several]
    return VarianceComponents(
        units=_of_mean(mean),
        units_freedom=units_freedom,
        seeds=sum(between, 0.0),
        seeds_freedom=_freedom(between, [len(side) - 1 for side in several]),
        noise=sum(map(_noise, several), 0.0),
        unseen=unseen,
        least=least,
    )


def _of_mean(values: Float[np.ndarray, "G U"]) -> float:
    """Variance of the mean of groups of independent units."""
    groups, units = values.shape
    return float(values.var(axis=1, ddof=1).sum() / units / groups**2) if units > 1 else 0.0


def _noise(values: Float[np.ndarray, "S G U"]) -> float:
    """Two-way analysis of variance: what is left in the mean of single values' variance beside seeds and units."""
    seeds, groups, units = values.shape
    rest = values - values.mean(axis=2, keepdims=True) - values.mean(axis=0) + values.mean(axis=(0, 2))[:, np.newaxis]
    freedom = max((seeds - 1) * (units - 1), 1)
    return float((rest**2).sum() / freedom / (seeds * units) / groups**2)


def _freedom(variances: Sequence[float], each: Sequence[int]) -> float:
    """Degrees of freedom of a sum of variances (Satterthwaite, 1946, Biometrics Bulletin 2:110-114)."""
    if not any(variances):
        return float(sum(each)) or np.inf
    return sum(variances) ** 2 / sum(variance**2 / one for variance, one in zip(variances, each, strict=True))


@lru_cache(maxsize=64)
def _inverse_chi2(dimension: int, freedom: float) -> Float[np.ndarray, " K"]:
    """Values of d / chi2(d), d the degrees of freedom, each as likely as another; independent in the two dimensions.

    The points fill the unit square evenly: an additive recurrence of the plastic number (Roberts, 2018).
    """
    if np.isinf(freedom):
        return np.ones(_NODES)
    points = (0.5 + np.arange(1, _NODES + 1) / _PLASTIC**dimension) % 1
    return freedom / (2 * gammaincinv(freedom / 2, points))
