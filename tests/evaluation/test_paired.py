"""Laws of the intervals; their coverage by simulation (scripts/benchmarks/coverage.py has the whole of it)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm

from mtil.evaluation.metrics import mean_interval
from mtil.evaluation.paired import holm, mcnemar, mean_difference, mean_rate

successes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(2, 30), st.integers(0, 2**32 - 1)).map(
    lambda shape: np.random.default_rng(shape[3]).random(shape[:3]) < np.random.default_rng(shape[3]).random()
)


@settings(max_examples=30)
@given(successes)
def test_one_seeds_mean_has_the_interval_of_an_evaluation(found: np.ndarray) -> None:
    rate = mean_rate(found[:1])
    expected = mean_interval(found[0].sum(axis=1), np.full(found.shape[1], found.shape[2]))
    assert (rate.low, rate.high) == pytest.approx(expected, abs=1e-9)
    assert rate.rate == pytest.approx(found[0].mean())


@settings(max_examples=30)
@given(successes)
def test_rates_lie_in_their_intervals_and_failure_mirrors_success(found: np.ndarray) -> None:
    rate, mirrored = mean_rate(found), mean_rate(~found)
    assert 0 <= rate.low <= rate.rate + 1e-12 <= rate.high + 2e-12 <= 1 + 3e-12
    assert rate.low < rate.high
    assert (mirrored.low, mirrored.high) == pytest.approx((1 - rate.high, 1 - rate.low), abs=1e-9)


@settings(max_examples=30)
@given(successes, st.integers(1, 3), st.integers(0, 2**32 - 1))
def test_exchanging_the_sides_turns_the_difference_round(found: np.ndarray, seeds: int, seed: int) -> None:
    other = np.random.default_rng(seed).random((seeds, *found.shape[1:])) < 0.8
    forth, back = mean_difference(found, other), mean_difference(other, found)
    assert (back.difference, back.low, back.high) == pytest.approx((-forth.difference, -forth.high, -forth.low))
    assert back.p == pytest.approx(forth.p)
    assert -1 <= forth.low < forth.high <= 1
    assert 0 <= forth.p <= 1


@settings(max_examples=30)
@given(successes)
def test_a_policy_is_as_good_as_itself_but_nothing_is_certain(found: np.ndarray) -> None:
    same = mean_difference(found, found)
    assert (same.difference, same.p) == (0, 1)
    assert same.low == pytest.approx(-same.high)
    assert same.high > 0


@settings(max_examples=30)
@given(successes)
def test_tasks_that_vary_make_no_interval_narrower(found: np.ndarray) -> None:
    if found.shape[1] == 1:
        return
    here, such = mean_rate(found), mean_rate(found, tasks_vary=True)
    assert such.low <= here.low + 1e-9
    assert such.high >= here.high - 1e-9


@settings(max_examples=30)
@given(st.integers(0, 20), st.integers(0, 20), st.integers(0, 20))
def test_two_checkpoints_on_a_task_have_the_interval_of_bonett_and_price(a: int, b: int, neither: int) -> None:
    size = a + b + neither + 2  # two more that both solve
    first = np.arange(size)[np.newaxis, np.newaxis] < a + 2
    second = (np.arange(size) < 2) | ((np.arange(size) >= a + 2) & (np.arange(size) < a + 2 + b))
    found = mean_difference(first, second[np.newaxis, np.newaxis])
    z = norm.ppf(0.975)
    ours, theirs = ((count + z**2 / 4) / (size + z**2 / 2) for count in (a, b))
    half = z * np.sqrt((ours + theirs - (ours - theirs) ** 2) / (size + z**2 / 2))
    assert found.difference == pytest.approx((a - b) / size)
    assert (found.low, found.high) == pytest.approx((max(ours - theirs - half, -1), min(ours - theirs + half, 1)))
    assert found.p == mcnemar(a, b)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemars_mid_p_counts_half_of_what_is_as_uneven(a: int, b: int) -> None:
    split = np.arange(a + b + 1)
    chance = binom.pmf(split, a + b, 0.5)
    uneven = np.abs(2 * split - a - b)
    expected = chance[uneven > abs(a - b)].sum() + chance[uneven == abs(a - b)].sum() / 2
    assert mcnemar(a, b) == pytest.approx(1 if a == b else expected)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.6]) == [1, 1]
    assert holm([]) == []


def simulated(
    rng: np.random.Generator, seeds: int, mean: np.ndarray, hard: np.ndarray, *, deviation: float
) -> tuple[np.ndarray, float]:
    """Successes of trainings that differ by this, overall and on each task, and the mean rate of all such trainings."""
    spread = np.sqrt(2 + 2 * deviation**2)
    latent = mean[:, np.newaxis] * spread + hard + rng.normal(size=(seeds, *hard.shape))
    latent = latent + deviation * (rng.normal(size=(seeds, 1, 1)) + rng.normal(size=(seeds, len(mean), 1)))
    return latent > 0, float(norm.cdf(mean).mean())


@pytest.mark.parametrize(
    ("seeds", "deviation", "rate"),
    [((1, 1), 0.0, 0.9), ((3, 3), 0.0, 0.97), ((3, 3), 0.4, 0.9), ((3, 5), 0.2, 0.97)],
    ids=str,
)
def test_intervals_cover_at_least_about_as_often_as_they_say(seeds: tuple, deviation: float, rate: float) -> None:
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    rounds = 100
    for _ in range(rounds):
        hard = rng.normal(size=(10, 50))
        means = norm.ppf(rate) + np.linspace(-0.5, 0.5, 10)
        (a, rate_a), (b, rate_b) = (
            simulated(rng, count, mean, hard, deviation=deviation)
            for count, mean in zip(seeds, (means, means[::-1] - 0.3), strict=True)
        )
        difference, pooled = mean_difference(a, b), mean_rate(b)
        covered += [difference.low <= rate_a - rate_b <= difference.high, pooled.low <= rate_b <= pooled.high]
    assert np.all(covered / rounds >= 0.92)
