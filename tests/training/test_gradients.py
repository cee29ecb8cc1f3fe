from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.training.gradients import TaskGradients, agreement, conflicts, cosines, shares, task_gradients

ALL = {"groups": 100, "batch_size": 300}
vectors = st.lists(st.lists(st.floats(-9, 9), min_size=3, max_size=3), min_size=2, max_size=5)


def read(problem: Any, *, seed: int = 0, **options: int) -> TaskGradients:
    return task_gradients(problem, problem.population, **(ALL | options), rng=np.random.default_rng(seed))


def gram_of(rows: list[list[float]]) -> np.ndarray:
    return np.array(rows, dtype=float) @ np.array(rows, dtype=float).T


def test_read_in_full_everything_is_exact(linear_problem: Any) -> None:
    """In as many groups as there are windows, each group is one, and the scatter is the plain variance."""
    problem = linear_problem([9, 1, 30], ways=[1, 3, 2])
    found = read(problem)
    assert found.read.tolist() == found.windows.tolist() == [9, 1, 30]
    assert found.noise.tolist() == [0, 0, 0]
    np.testing.assert_allclose(found.mean.numpy(), problem.means)
    np.testing.assert_allclose(found.gram, problem.means @ problem.means.T)
    np.testing.assert_allclose(found.reliability, 1)
    windows = [problem.of(task).mean(axis=1) for task in (0, 2)]
    np.testing.assert_allclose(found.scatter[[0, 2]], [each.var(axis=0, ddof=1).sum() for each in windows])
    assert found.scatter[1] == pytest.approx(0)


@pytest.mark.parametrize(("groups", "batch_size"), [(2, 300), (3, 20), (7, 300)])
def test_larger_groups_change_no_mean(linear_problem: Any, groups: int, batch_size: int) -> None:
    problem = linear_problem([9, 1, 30], ways=[1, 3, 2])
    found = read(problem, groups=groups, batch_size=batch_size)
    np.testing.assert_allclose(found.mean.numpy(), problem.means)


def test_wording_is_the_variance_over_tellings(linear_problem: Any) -> None:
    """With two tellings each is as far from their mean as the other: exact; with more, on average."""
    problem = linear_problem([9, 20, 30], ways=[1, 2, 3])
    expected = [problem.of(task).var(axis=1).sum(axis=1).mean() for task in range(3)]
    found = np.array([read(problem, seed=seed).wording for seed in range(60)])
    np.testing.assert_allclose(found[:, :2], np.tile(expected[:2], (60, 1)))
    error = found[:, 2].std() / len(found) ** 0.5
    assert abs(found[:, 2].mean() - expected[2]) < 4 * error


def test_read_in_part_products_and_scatter_are_unbiased(linear_problem: Any) -> None:
    """The plain squared norms are not: they hold the noise."""
    problem = linear_problem([40, 25], ways=[1, 2])
    found = [read(problem, seed=seed, groups=4, batch_size=6) for seed in range(400)]
    assert found[0].read.tolist() == [24, 12]
    exact = read(problem)
    plain = np.array([np.diag(each.mean.numpy() @ each.mean.numpy().T) for each in found])
    for values, expected in (
        (np.array([each.gram.ravel() for each in found]), exact.gram.ravel()),
        (np.array([each.scatter for each in found]), exact.scatter),
        (plain, np.diag(exact.gram) + np.mean([each.noise for each in found], axis=0)),
    ):
        error = values.std(axis=0) / len(found) ** 0.5
        assert (abs(values.mean(axis=0) - expected) < 4 * error).all()
    assert (plain.mean(axis=0) > 1.01 * np.diag(exact.gram)).all()


def test_reliability_is_the_cosine_of_two_estimates(linear_problem: Any) -> None:
    problem = linear_problem([400], ways=[1])
    found = [read(problem, seed=seed, groups=4, batch_size=1) for seed in range(400)]
    means = np.stack([each.mean[0].numpy() for each in found])
    products = means[::2] @ means[1::2].T
    expected = products.mean() / (means**2).sum(axis=1).mean()
    reliability = 1 - np.mean([each.noise for each in found]) / (means**2).sum(axis=1).mean()
    assert reliability == pytest.approx(expected, abs=0.03)
    assert reliability < 0.9


def test_permuting_tasks_permutes_everything(linear_problem: Any) -> None:
    problem, order = linear_problem([9, 12, 30], ways=[1, 3, 2]), [2, 0, 1]
    renamed = linear_problem([9, 12, 30], ways=[1, 3, 2])
    renamed.population = type(problem.population)(
        np.argsort(order)[problem.population.task], problem.population.tellings[order]
    )
    before, after = read(problem), read(renamed)
    weights = np.array([0.2, 0.5, 0.3])
    np.testing.assert_allclose(after.gram, before.gram[order][:, order])
    np.testing.assert_allclose(after.scatter, before.scatter[order])
    np.testing.assert_allclose(cosines(after.gram), cosines(before.gram)[order][:, order])
    np.testing.assert_allclose(shares(after.gram, weights[order]), shares(before.gram, weights)[order])
    assert agreement(after.gram, weights[order]) == pytest.approx(agreement(before.gram, weights))


@given(vectors)
def test_cosines_are_symmetric_with_a_unit_diagonal(rows: list[list[float]]) -> None:
    gram = gram_of(rows)
    found, lost = cosines(gram), np.diag(gram) <= 0
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.isnan(found), lost[:, None] | lost)
    np.testing.assert_allclose(np.diag(found)[~lost], 1)
    assert (abs(found[~np.isnan(found)]) < 1 + 1e-9).all()


@given(vectors, st.lists(st.floats(0.01, 1), min_size=5, max_size=5))
def test_shares_sum_to_one(rows: list[list[float]], raw: list[float]) -> None:
    weights, gradients = np.array(raw[: len(rows)]), np.array(rows)
    found, whole = shares(gram_of(rows), weights), weights @ gradients
    if whole @ whole > 1e-6 * np.square(gradients).sum():
        assert found.sum() == pytest.approx(1)
        np.testing.assert_allclose(found, weights * (gradients @ whole) / (whole @ whole), atol=1e-6)


@given(vectors)
def test_agreement_lies_between_zero_and_one(rows: list[list[float]]) -> None:
    found = agreement(gram_of(rows), np.ones(len(rows)))
    assert np.isnan(found) or -1e-9 < found < 1 + 1e-9


def test_agreement_of_parallel_and_of_opposite_gradients() -> None:
    assert agreement(gram_of([[1, 2], [2, 4]]), np.array([0.5, 0.5])) == pytest.approx(1)
    assert agreement(gram_of([[1, 2], [-1, -2]]), np.array([0.5, 0.5])) == pytest.approx(0)
    assert shares(gram_of([[3, 0], [-1, 0]]), np.ones(2)).tolist() == pytest.approx([1.5, -0.5])


def test_where_noise_leaves_nothing_nothing_is_said() -> None:
    gram = np.array([[4.0, 1.0], [1.0, -0.5]])
    assert np.isnan(cosines(gram)).tolist() == [[False, True], [True, True]]
    assert np.isnan(shares(-np.eye(2), np.ones(2))).all()
    assert conflicts(cosines(gram)) == []


def test_conflicts_are_the_negative_pairs_in_order() -> None:
    found = np.array([[1, -0.1, 0.3, np.nan], [-0.1, 1, -0.7, 0], [0.3, -0.7, 1, -0.2], [np.nan, 0, -0.2, 1]])
    assert conflicts(found) == [(1, 2), (2, 3), (0, 1)]
