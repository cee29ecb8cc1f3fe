"""Do the intervals of `mtil compare` cover as often as they say, and do simpler ones? By simulation, in some minutes.

Trainings with several seeds on the same 50 placements of each task: success is a threshold on the sum of the task's
ease, the placement's (shared by all seeds and both sides), the seed's (overall, and on each task) and the episode's own
chance. Asked for: the mean rate, and the mean difference, over all seeds and placements of these tasks; with one seed
on each side there is no effect of seeds in it. Beside ours: all episodes pooled as if independent, and the
percentiles of a bootstrap over seeds and placements.

    python scripts/benchmarks/coverage.py --rounds 400
"""

import argparse
import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from mtil.evaluation.metrics import MeanResult, mean_interval
from mtil.evaluation.paired import Difference, mean_difference, mean_rate

PLACEMENTS, RESAMPLES = 50, 400
SEED_EFFECTS = {"none": (0.0, 0.0), "small": (0.05, 0.1), "medium": (0.15, 0.2), "large": (0.4, 0.6)}
RATES, TASKS, SEEDS = (0.5, 0.9, 0.97, 0.99), (10, 50), (1, 3, 5)
METHODS = ("ours", "pooled", "percentile")
Interval = tuple[float, float]


@dataclass(frozen=True)
class Setting:
    """What is simulated: deviations of the seeds' effects overall and on each task, rates, sizes."""

    effects: str
    rate: float
    tasks: int
    seeds: int


@dataclass(frozen=True)
class World:
    """Successes of both sides (seeds, tasks, placements), and the truth."""

    a: np.ndarray
    b: np.ndarray
    rate: float
    difference: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(f"coverage % of 95% intervals (mean width in points), {options.rounds} rounds, seed {options.seed}\n")
    columns = [f"{what}: {method}" for what in ("rate", "difference") for method in METHODS]
    _print("seeds differ", "rate", "tasks", "seeds", *columns)
    _print(*["---"] * (4 + len(columns)))
    for setting in settings():
        rng = np.random.default_rng(options.seed)
        cells = measured(setting, options.rounds, rng)
        _print(setting.effects, str(setting.rate), str(setting.tasks), str(setting.seeds), *cells)


def _print(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def settings() -> Iterator[Setting]:
    for effects, rate, tasks, seeds in itertools.product(SEED_EFFECTS, RATES, TASKS, SEEDS):
        if seeds > 1 or effects == "none":
            yield Setting(effects, rate, tasks, seeds)


def measured(setting: Setting, rounds: int, rng: np.random.Generator) -> list[str]:
    """Coverage and width of each method, for the rate and for the difference."""
    covered, width = np.zeros((2, len(METHODS))), np.zeros((2, len(METHODS)))
    resampling = Resampling(setting, rng)
    for _ in range(rounds):
        world = simulate(setting, rng)
        for row, (truth, intervals) in enumerate(
            ((world.rate, of_rate(world, resampling)), (world.difference, of_difference(world, resampling)))
        ):
            covered[row] += [low <= truth <= high for low, high in intervals]
            width[row] += [high - low for low, high in intervals]
    return [f"{100 * covers / rounds:.1f} ({100 * wide / rounds:.1f})"
            for covers, wide in zip(covered.ravel(), width.ravel(), strict=True)]  # fmt: skip


def simulate(setting: Setting, rng: np.random.Generator) -> World:
    """Two policies; the second's rates differ from the first's by task."""
    hard = 0.8 * rng.normal(size=(setting.tasks, PLACEMENTS))
    overall, on_task = SEED_EFFECTS[setting.effects]
    spread = np.sqrt(1 + 0.8**2 + overall**2 + on_task**2)
    sides, rates = [], []
    for shift in (0.0, 0.3):
        ease = norm.ppf(setting.rate) + np.linspace(-0.5, 0.5, setting.tasks) + shift * rng.normal(size=setting.tasks)
        seed = overall * rng.normal(size=(setting.seeds, 1, 1))
        seed = seed + on_task * rng.normal(size=(setting.seeds, setting.tasks, 1))
        chance = rng.normal(size=(setting.seeds, *hard.shape))
        sides.append(ease[:, np.newaxis] * spread + hard + seed + chance > 0)
        rates.append(float(norm.cdf(ease).mean()))
    return World(*sides, rate=rates[0], difference=rates[0] - rates[1])


class Resampling:
    """Weights of seeds and placements in a bootstrap; the sides' seeds are drawn apart, their placements together."""

    def __init__(self, setting: Setting, rng: np.random.Generator) -> None:
        seeds, placements = np.full(setting.seeds, 1 / setting.seeds), np.full(PLACEMENTS, 1 / PLACEMENTS)
        self._a, self._b = rng.multinomial(setting.seeds, seeds, size=(2, RESAMPLES)) / setting.seeds
        drawn = rng.multinomial(PLACEMENTS, placements, size=(RESAMPLES, setting.tasks))
        self._placements = drawn.reshape(RESAMPLES, -1) / (PLACEMENTS * setting.tasks)

    def rate(self, a: np.ndarray) -> Interval:
        return self._percentiles(self._means(a, self._a))

    def difference(self, a: np.ndarray, b: np.ndarray) -> Interval:
        return self._percentiles(self._means(a, self._a) - self._means(b, self._b))

    def _means(self, successes: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return ((self._placements @ successes.reshape(len(successes), -1).T) * seeds).sum(axis=1)

    @staticmethod
    def _percentiles(means: np.ndarray) -> Interval:
        low, high = np.quantile(means, [0.025, 0.975])
        return float(low), float(high)


def of_rate(world: World, resampling: Resampling) -> list[Interval]:
    return [ends(mean_rate(world.a)), pooled(world.a), resampling.rate(world.a)]


def of_difference(world: World, resampling: Resampling) -> list[Interval]:
    return [
        ends(mean_difference(world.a, world.b)),
        newcombe(world.a, world.b),
        resampling.difference(world.a, world.b),
    ]


def pooled(successes: np.ndarray) -> Interval:
    """As if every episode of every seed had a placement of its own."""
    return mean_interval(successes.sum(axis=(0, 2)), np.full(successes.shape[1], len(successes) * PLACEMENTS))


def newcombe(a: np.ndarray, b: np.ndarray) -> Interval:
    """Of two rates as if independent, from the interval of each (Newcombe, 1998, Statistics in Medicine 17:873-890)."""
    (low_a, high_a), (low_b, high_b), gain = pooled(a), pooled(b), float(a.mean() - b.mean())
    below, above = np.hypot(a.mean() - low_a, high_b - b.mean()), np.hypot(high_a - a.mean(), b.mean() - low_b)
    return gain - float(below), gain + float(above)


def ends(found: MeanResult | Difference) -> Interval:
    return found.low, found.high


if __name__ == "__main__":
    main()
