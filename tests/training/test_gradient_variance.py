from typing import Any

import numpy as np
import pytest

from mtil.training.batch_schemes import BatchScheme, Stratified, TasksAtRandom, WindowsAtRandom
from mtil.training.gradient_variance import BatchSpread, batch_spread, bootstrap_means, interval
from mtil.training.gradients import TaskGradients, task_gradients

SIZES, WEIGHTS, BATCH = [40, 8, 12], [2.0, 1.0, 1.0], 8
SHARES = np.array(WEIGHTS) / sum(WEIGHTS)


def gradients_of(problem: Any, *, groups: int = 100, batch_size: int = 300, seed: int = 0) -> TaskGradients:
    rng = np.random.default_rng(seed)
    return task_gradients(problem, problem.population, groups=groups, batch_size=batch_size, rng=rng)


def spread_of(problem: Any, kind: type[BatchScheme], batches: int, **options: Any) -> BatchSpread:
    scheme = kind(problem.population, weights=options.pop("weights", WEIGHTS), batch_size=BATCH)
    tasks = options.pop("tasks", None) or gradients_of(problem)
    return batch_spread(problem, scheme, tasks, batches=batches, seed=options.pop("seed", 0))


def near(values: np.ndarray, expected: float) -> bool:
    """Whether the mean is the expected one, up to four of its standard errors."""
    return abs(values.mean() - expected) < 4 * values.std() / len(values) ** 0.5 + 1e-12


def scatter(problem: Any) -> np.ndarray:
    return np.array([problem.of(task)[:, 0].var(axis=0, ddof=1).sum() for task in range(len(SIZES))])


def closed_form(problem: Any, kind: type[BatchScheme]) -> float:
    """The variance of a batch from the vectors themselves (one telling each)."""
    shares, sizes, means = SHARES, np.array(SIZES), problem.means
    if kind is WindowsAtRandom:  # a plain sample without repetition, of weighted vectors
        importance = shares * sizes.sum() / sizes
        vectors = problem.vectors[:, 0] * importance[problem.population.task][:, None]
        return float((1 - BATCH / sizes.sum()) * vectors.var(axis=0, ddof=1).sum() / BATCH)
    counts = BATCH * shares
    squares = counts**2 + (BATCH * shares * (1 - shares) if kind is TasksAtRandom else 0)
    within = (counts - squares / sizes) @ scatter(problem) / BATCH**2
    between = (shares @ np.square(means).sum(axis=1) - np.square(shares @ means).sum()) / BATCH
    return float(within + (between if kind is TasksAtRandom else 0))


@pytest.mark.parametrize("kind", [Stratified, TasksAtRandom, WindowsAtRandom])
def test_the_variance_is_the_closed_form(linear_problem: Any, kind: type[BatchScheme]) -> None:
    """And by theory too; and its parts add up."""
    problem = linear_problem(SIZES, ways=[1, 1, 1])
    found, expected = spread_of(problem, kind, 1_000), closed_form(problem, kind)
    assert near(found.total, expected)
    assert near(found.within, found.expected_within)
    assert near(found.between, found.expected_between)
    assert found.expected_within + found.expected_between == pytest.approx(expected, rel=0.02)
    assert near(found.total - found.within - found.between, 0)


def test_whole_quotas_leave_nothing_between_tasks(linear_problem: Any) -> None:
    problem = linear_problem(SIZES, ways=[1, 1, 1])
    found = spread_of(problem, Stratified, 20)
    assert found.between == pytest.approx(0)
    np.testing.assert_allclose(found.total, found.within)
    assert found.expected_within == pytest.approx(closed_form(problem, Stratified))


@pytest.mark.parametrize("kind", [Stratified, TasksAtRandom])
def test_wording_varies_on_its_own(linear_problem: Any, kind: type[BatchScheme]) -> None:
    problem = linear_problem(SIZES, ways=[2, 2, 2])
    found, once = (spread_of(each, kind, 1_000) for each in (problem, linear_problem(SIZES, ways=[1, 1, 1])))
    assert near(found.within, found.expected_within)
    assert found.expected_within != pytest.approx(once.expected_within, rel=0.01)


def test_a_task_used_up_several_times_in_a_batch_varies_by_the_rest(linear_problem: Any) -> None:
    problem = linear_problem([3, 20], ways=[1, 1])
    found = spread_of(problem, Stratified, 1_000, weights=[7.0, 1.0])
    assert near(found.within, found.expected_within)
    exact = [problem.of(task)[:, 0].var(axis=0, ddof=1).sum() for task in (0, 1)]
    assert found.expected_within == pytest.approx((1 * (1 - 1 / 3) * exact[0] + (1 - 1 / 20) * exact[1]) / BATCH**2)


def test_tasks_read_in_part_bias_nothing(linear_problem: Any) -> None:
    problem = linear_problem(SIZES, ways=[1, 1, 1])
    found = [
        spread_of(problem, TasksAtRandom, 10, seed=seed, tasks=gradients_of(problem, groups=2, batch_size=3, seed=seed))
        for seed in range(300)
    ]
    exact = spread_of(problem, TasksAtRandom, 500)
    assert near(np.array([each.total.mean() for each in found]), closed_form(problem, TasksAtRandom))
    assert near(np.array([each.within.mean() for each in found]), exact.expected_within)
    assert near(np.array([each.expected_between for each in found]), exact.expected_between)


def test_stratified_batches_vary_less_but_no_less_where_tasks_are_alike(linear_problem: Any) -> None:
    apart, alike = (linear_problem([20, 20, 20], ways=[1, 1, 1], apart=apart) for apart in (1.0, 0.0))
    for problem in (apart, alike):
        stratified, random = (
            spread_of(problem, kind, 800, weights=[1.0, 1.0, 1.0]) for kind in (Stratified, TasksAtRandom)
        )
        gain = random.total - stratified.total
        assert near(gain, random.expected_within + random.expected_between - stratified.expected_within)
        assert (random.expected_between > 0.1 * random.expected_within) == (problem is apart)
    assert random.expected_between == pytest.approx(0, abs=0.01 * random.expected_within)


def test_batches_shared_between_schemes_make_the_comparison_closer(linear_problem: Any) -> None:
    problem = linear_problem([100, 100, 100], ways=[1, 1, 1], apart=0.2)
    shared, other = (spread_of(problem, TasksAtRandom, 500, seed=seed).total for seed in (0, 1))
    stratified = spread_of(problem, Stratified, 500).total
    assert (shared - stratified).std() < 0.8 * (other - stratified).std()


def test_the_same_seed_draws_the_same(linear_problem: Any) -> None:
    problem = linear_problem(SIZES, ways=[1, 2, 3])
    first, second, other = (spread_of(problem, TasksAtRandom, 5, seed=seed).total for seed in (3, 3, 4))
    assert first.tolist() == second.tolist() != other.tolist()


def test_resamples_are_the_same_for_all_rows() -> None:
    values = np.random.default_rng(0).exponential(size=60)
    found = bootstrap_means(np.stack([values, 3 * values]), np.random.default_rng(0))
    np.testing.assert_allclose(found[1], 3 * found[0])
    low, high = interval(found[0])
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 60**0.5, rel=0.1)
    assert low < values.mean() < high
