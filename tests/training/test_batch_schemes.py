from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtil.training.batch_schemes import BatchScheme, Stratified, TasksAtRandom, WindowsAtRandom
from mtil.training.gradients import Population

KINDS = [Stratified, TasksAtRandom, WindowsAtRandom]
sizes = st.lists(st.integers(1, 30), min_size=1, max_size=5)
every_kind = pytest.mark.parametrize("kind", KINDS)


def population(sizes: list[int]) -> Population:
    return Population(np.repeat(np.arange(len(sizes)), sizes), np.arange(len(sizes)) % 3 + 1)


def gram(tasks: int) -> np.ndarray:
    gradients = np.random.default_rng(0).normal(size=(tasks, 3))
    return gradients @ gradients.T


def mixtures(scheme: BatchScheme, batches: int) -> np.ndarray:
    """How much of each task's mean gradient the batches hold, given their counts."""
    counts = np.stack([scheme.counts(step, np.random.default_rng([0, step])) for step in range(batches)])
    return scheme.importance * counts / scheme.batch_size


@every_kind
@settings(max_examples=30)
@given(sizes=sizes, batch_size=st.integers(64, 200), step=st.integers(0, 20))
def test_a_batch_repeats_no_window_before_its_task_is_used_up(
    kind: type[BatchScheme], sizes: list[int], batch_size: int, step: int
) -> None:
    whole = population(sizes)
    scheme = kind(whole, weights=[1.0] * len(sizes), batch_size=batch_size)
    windows, telling = scheme.draw(step, np.random.default_rng(step))
    assert len(windows) == len(telling) == batch_size
    assert (telling < whole.tellings[whole.task[windows]]).all()
    for task, members in enumerate(whole.members):
        times = Counter(windows[whole.task[windows] == task].tolist())
        assert max(times.values(), default=0) - min((times[w] for w in members.tolist()), default=0) <= 1


@every_kind
@pytest.mark.parametrize("batch_size", [6, 50])
def test_the_expected_loss_is_that_of_the_weights(kind: type[BatchScheme], batch_size: int) -> None:
    scheme = kind(population([20, 3, 7]), weights=[1.0, 2.0, 1.0], batch_size=batch_size)
    assert scheme.weights.tolist() == [0.25, 0.5, 0.25]
    found = mixtures(scheme, 2_000)
    error = found.std(axis=0) / len(found) ** 0.5
    assert (abs(found.mean(axis=0) - scheme.weights) < 4 * error + 1e-9).all()


@every_kind
@pytest.mark.parametrize("batch_size", [1, 6, 50])
def test_the_variance_between_tasks_is_that_of_the_counts(kind: type[BatchScheme], batch_size: int) -> None:
    scheme = kind(population([20, 3, 7]), weights=[1.0, 2.0, 1.0], batch_size=batch_size)
    apart = mixtures(scheme, 4_000) - scheme.weights
    found = ((apart @ gram(3)) * apart).sum(axis=1)
    assert abs(found.mean() - scheme.between(gram(3))) < 4 * found.std() / len(found) ** 0.5 + 1e-9


@settings(max_examples=30)
@given(sizes=sizes, batch_size=st.integers(1, 70))
def test_stratification_never_adds_variance(sizes: list[int], batch_size: int) -> None:
    """Beyond what a number of steps that is no whole period leaves to chance."""
    whole, products = population(sizes), gram(len(sizes))
    weights = [1.0 + i for i in range(len(sizes))]
    stratified, random = (
        kind(whole, weights=weights, batch_size=batch_size).between(products) for kind in (Stratified, TasksAtRandom)
    )
    assert -1e-12 < stratified < 1.05 * random + 1e-12


def test_whole_shares_leave_nothing_between_tasks() -> None:
    scheme = Stratified(population([20, 3, 7]), weights=[1.0, 2.0, 1.0], batch_size=8)
    assert scheme.between(gram(3)) == pytest.approx(0)


def test_a_batch_of_one_cannot_be_stratified() -> None:
    stratified, random = (
        kind(population([20, 3, 7]), weights=[1.0, 2.0, 1.0], batch_size=1).between(gram(3))
        for kind in (Stratified, TasksAtRandom)
    )
    assert stratified == pytest.approx(random)


def test_tasks_that_are_alike_need_no_stratification() -> None:
    scheme = TasksAtRandom(population([20, 3]), weights=[1.0, 2.0], batch_size=8)
    assert scheme.between(np.ones((2, 2))) == pytest.approx(0)
    plain = WindowsAtRandom(population([20, 3]), weights=[20.0, 3.0], batch_size=8)
    assert plain.between(np.ones((2, 2))) == pytest.approx(0)


def test_stratified_counts_are_within_one_of_the_shares() -> None:
    scheme = Stratified(population([20, 3, 7]), weights=[1.0, 2.0, 1.0], batch_size=6)
    assert (abs(mixtures(scheme, 50) - scheme.weights) < 1 / 6).all()


def test_windows_at_random_in_proportion_to_the_data_need_no_weights() -> None:
    assert WindowsAtRandom(population([20, 4]), weights=[5.0, 1.0], batch_size=6).name == "random windows"
    weighted = WindowsAtRandom(population([20, 4]), weights=[1.0, 1.0], batch_size=6)
    assert weighted.name == "weighted windows"
    assert weighted.importance.tolist() == pytest.approx([0.6, 3.0])


def test_from_the_same_state_schemes_share_windows() -> None:
    whole = population([20, 30])
    drawn = [kind(whole, weights=[1.0, 1.0], batch_size=12).draw(0, np.random.default_rng(5)) for kind in KINDS]
    for task in (0, 1):
        own = [
            list(zip(*(part[whole.task[windows] == task] for part in (windows, told)), strict=True))
            for windows, told in drawn
        ]
        shortest = min(map(len, own))
        assert shortest > 0
        assert own[0][:shortest] == own[1][:shortest] == own[2][:shortest]
