import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from mtil.evaluation.retrieval import Confusion, cosines, plane, prototypes, retrieve

points = arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 5)), elements=st.floats(-100, 100))


def random(tasks: int, each: int, *, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {f"task {i}": torch.randn(each, 8, generator=generator) for i in range(tasks)}


@given(st.integers(1, 30), st.integers(1, 5), st.integers(0, 100))
def test_a_perfect_encoder_is_always_right(tasks: int, each: int, seed: int) -> None:
    """Its embeddings depend on the task alone; how long they are does not matter."""
    directions = random(tasks, 1, seed=seed)
    z = {task: torch.arange(1.0, each + 1)[:, None] * one for task, one in directions.items()}
    found = retrieve(z, prototypes(z))
    assert (found.correct, found.count, found.rate, found.confusions) == (tasks * each, tasks * each, 1.0, [])


@given(st.integers(2, 30), st.integers(1, 5), st.integers(0, 100))
def test_a_collapsed_encoder_takes_all_for_the_first(tasks: int, each: int, seed: int) -> None:
    """All its embeddings are one, but for the rounding of the last bits: that is chance, and always the same."""
    one = torch.randn(8, generator=torch.Generator().manual_seed(seed))
    z = {task: one * (1 + 1e-7 * noise) for task, noise in random(tasks, each, seed=seed).items()}
    found = retrieve(z, prototypes(z))
    assert found.rate == pytest.approx(found.chance) == pytest.approx(1 / tasks)
    assert {pair.taken_for for pair in found.confusions} == {"task 0"}
    assert [pair.count for pair in found.confusions] == [each] * (tasks - 1)


def test_what_is_confused() -> None:
    among = {task: torch.eye(3)[i] for i, task in enumerate(("open", "close", "push"))}
    nearer_push = torch.tensor([[0.1, 0.2, 0.9]])
    z = {"open": torch.eye(3)[[0, 1]], "push": torch.eye(3)[[0, 0, 2]], "close": nearer_push}
    found = retrieve(z, among)
    assert (found.correct, found.count, found.tasks) == (2, 6, 3)
    assert found.confusions == [
        Confusion("push", "open", 2),
        Confusion("open", "close", 1),
        Confusion("close", "push", 1),
    ]


def test_prototypes_are_means() -> None:
    assert torch.equal(prototypes({"open": torch.tensor([[1.0, 0.0], [0.0, 3.0]])})["open"], torch.tensor([0.5, 1.5]))


def test_cosines() -> None:
    z = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 0.0]])
    np.testing.assert_allclose(cosines(z, z), [[1, np.sqrt(0.5), 0], [np.sqrt(0.5), 1, 0], [0, 0, 0]], atol=1e-6)


@given(points)
def test_the_plane_keeps_what_it_says(z: np.ndarray) -> None:
    flat, share = plane(z)
    assert flat.shape == (len(z), 2)
    assert 0 <= share <= 1 + 1e-9
    centred = z - z.mean(0)
    assert np.square(flat).sum() == pytest.approx(share * np.square(centred).sum(), rel=1e-6, abs=1e-6)
    if z.shape[1] <= 2:
        np.testing.assert_allclose(flat @ flat.T, centred @ centred.T, atol=1e-6)


def test_the_plane_of_what_is_turned_round_is_the_same() -> None:
    z = np.random.default_rng(0).normal(size=(20, 6)) * [9, 5, 1, 1, 1, 1]
    flat, _ = plane(z)
    order = np.random.default_rng(1).permutation(20)
    np.testing.assert_allclose(plane(z[order])[0], flat[order], atol=1e-9)
