"""Laws of the intervals; their coverage by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from mtil.evaluation.metrics import Outcome, mean_interval, mean_result, task_result, wilson_interval

counts = st.integers(1, 200).flatmap(lambda episodes: st.tuples(st.integers(0, episodes), st.just(episodes)))


@given(counts, st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(count: tuple[int, int], confidence: float) -> None:
    successes, episodes = count
    low, high = wilson_interval(np.array([successes]), np.array([episodes]), confidence=confidence)
    expected = binomtest(successes, episodes).proportion_ci(confidence, method="wilson")
    np.testing.assert_allclose([low[0], high[0]], expected, atol=1e-12)


@given(counts)
def test_the_mean_of_one_task_has_wilsons_interval(count: tuple[int, int]) -> None:
    successes, episodes = (np.array([number]) for number in count)
    np.testing.assert_allclose(
        mean_interval(successes, episodes), np.ravel(wilson_interval(successes, episodes)), atol=1e-9
    )


@given(counts, st.integers(1, 50))
def test_tasks_of_one_rate_are_as_good_as_one_with_all_their_episodes(count: tuple[int, int], tasks: int) -> None:
    successes, episodes = (np.full(tasks, number) for number in count)
    pooled = wilson_interval(successes.sum(keepdims=True), episodes.sum(keepdims=True))
    np.testing.assert_allclose(mean_interval(successes, episodes), np.ravel(pooled), atol=1e-9)


@given(st.lists(counts, min_size=1, max_size=20), st.randoms())
def test_the_order_of_tasks_does_not_matter_and_failure_mirrors_success(rows: list, random) -> None:
    shuffled = random.sample(rows, len(rows))
    low, high = mean_interval(*np.array(rows).T)
    np.testing.assert_allclose(mean_interval(*np.array(shuffled).T), (low, high), atol=1e-12)
    successes, episodes = np.array(rows).T
    np.testing.assert_allclose(mean_interval(episodes - successes, episodes), (1 - high, 1 - low), atol=1e-9)
    assert 0 <= low <= np.mean(successes / episodes) + 1e-12 <= high + 2e-12
    assert low < high


@pytest.mark.parametrize("tasks", [1, 10, 50])
def test_nothing_is_certain_when_every_task_always_succeeds(tasks: int) -> None:
    low, high = mean_interval(np.full(tasks, 50), np.full(tasks, 50))
    assert high == pytest.approx(1)
    assert low == pytest.approx(1 - 1.96**2 / (50 * tasks + 1.96**2), abs=1e-5)


@pytest.mark.parametrize(
    "rates",
    [
        np.full(10, 0.5),
        np.full(10, 0.99),
        np.full(50, 0.97),
        np.array([0.99] * 9 + [0.5]),
        np.array([0.98] * 7 + [0.3, 0.6, 0.1]),
        np.linspace(0.02, 0.98, 50),
    ],
    ids=["half", "nearly all", "fifty", "one weak", "three weak", "spread"],
)
def test_the_means_interval_covers_as_often_as_it_says(rates: np.ndarray) -> None:
    successes = np.random.default_rng(0).binomial(50, rates, size=(1000, len(rates)))
    intervals = np.array([mean_interval(row, np.full(len(rates), 50)) for row in successes])
    covered = np.mean((intervals[:, 0] <= rates.mean()) & (rates.mean() <= intervals[:, 1]))
    assert 0.93 <= covered <= 0.98


def test_task_and_mean() -> None:
    outcomes = [
        Outcome("push", episode, placement=0, told="", success=episode < 3, length=10 * (episode + 1))
        for episode in range(4)
    ]
    push = task_result("push", outcomes)
    assert (push.episodes, push.successes, push.rate, push.mean_length) == (4, 3, 0.75, 25.0)
    assert (push.low, push.high) == pytest.approx(binomtest(3, 4).proportion_ci(method="wilson"))
    reach = task_result("reach", [Outcome("reach", 0, placement=0, told="", success=False, length=500)])
    mean = mean_result([push, reach])
    assert mean.rate == 0.375
    assert (mean.low, mean.high) == pytest.approx(mean_interval(np.array([3, 0]), np.array([4, 1])))
