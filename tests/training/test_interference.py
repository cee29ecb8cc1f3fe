from typing import Any

import numpy as np
import pytest

from mtil.training.interference import Interference, measure

OBJECTIVES = {"own": [1.0, 1.0, 1.0], "other": [40.0, 8.0, 12.0]}


def measured(problem: Any, *, batches: int = 50, **options: Any) -> Interference:
    values = {"names": ["left", "up", "right"], "objectives": OBJECTIVES, "batch_size": 32, "seed": 0} | options
    return measure(problem, problem.population, batches=batches, **values)


@pytest.fixture
def problem(linear_problem: Any) -> Any:
    return linear_problem([40, 8, 12], ways=[1, 2, 3])


def test_tasks_in_their_order(problem: Any) -> None:
    found = measured(problem)
    assert [task.task for task in found.tasks] == ["left", "up", "right"]
    assert [task.windows for task in found.tasks] == [task.read for task in found.tasks] == [40, 8, 12]
    assert [task.reliability for task in found.tasks] == pytest.approx([1, 1, 1])
    assert [task.norm for task in found.tasks] == pytest.approx((problem.means**2).sum(axis=1) ** 0.5)
    assert [task.weight for task in found.tasks] == pytest.approx([1 / 3] * 3)
    assert sum(task.share or 0 for task in found.tasks) == pytest.approx(1)
    assert [found.cosines[i][i] for i in range(3)] == pytest.approx([1, 1, 1])
    assert [task.wording > 0 for task in found.tasks] == [False, True, True]


def test_objectives_and_their_schemes(problem: Any) -> None:
    own, other = measured(problem).objectives
    assert (own.objective, other.objective) == ("own", "other")
    assert other.weights == pytest.approx((40 / 60, 8 / 60, 12 / 60))
    assert [scheme.scheme for scheme in own.schemes] == ["stratified", "random tasks", "weighted windows"]
    assert [scheme.scheme for scheme in other.schemes] == ["stratified", "random tasks", "random windows"]
    assert own.squared_norm == pytest.approx(((problem.means.mean(axis=0)) ** 2).sum())
    for objective in (own, other):
        stratified = objective.schemes[0]
        assert (stratified.ratio, stratified.ratio_low, stratified.ratio_high) == (1, 1, 1)
        for scheme in objective.schemes:
            assert scheme.low < scheme.variance < scheme.high
            assert scheme.ratio == pytest.approx(scheme.variance / stratified.variance)
            assert scheme.noise_scale == pytest.approx(32 * scheme.variance / objective.squared_norm)


def test_stratification_pays_where_tasks_lie_far_apart(linear_problem: Any) -> None:
    far = measured(linear_problem([40, 8, 12], ways=[1, 1, 1], apart=3.0), batches=100).objectives[0].schemes
    assert all(scheme.ratio_low and scheme.ratio_low > 1.5 for scheme in far[1:])
    random, stratified = (scheme.expected_within + scheme.expected_between for scheme in (far[1], far[0]))
    assert far[1].ratio_low is not None
    assert far[1].ratio_high is not None
    assert far[1].ratio_low < random / stratified < far[1].ratio_high


def test_what_is_drawn_follows_from_the_seed(problem: Any) -> None:
    assert measured(problem) == measured(problem)
    assert measured(problem).objectives != measured(problem, seed=1).objectives
    exact, again = (np.array(measured(problem, seed=seed).cosines) for seed in (0, 1))
    np.testing.assert_allclose(exact, again)  # all windows are read


def test_cosines_that_are_mostly_noise_are_left_out(linear_problem: Any) -> None:
    faint = linear_problem([400, 400, 400], ways=[1, 1, 1], apart=0.02)
    found = measured(faint, batches=2, batch_size=4)
    noisy = [(task.reliability or 0) < 0.5 for task in found.tasks]
    assert any(noisy)
    assert [[cosine is None for cosine in row] for row in found.cosines] == [[a or b for b in noisy] for a in noisy]


def test_batches_that_hold_everything_do_not_vary(linear_problem: Any) -> None:
    whole = linear_problem([4, 4], ways=[1, 1])
    whole.vectors[:] = 1.0
    found = measured(whole, names=["a", "b"], objectives={"own": [1.0, 1.0]}, batch_size=8)
    stratified = found.objectives[0].schemes[0]
    assert stratified.variance == pytest.approx(0, abs=1e-12)
    assert found.agreement == pytest.approx(1)
