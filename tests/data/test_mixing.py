from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.kinds import DescriptorKind
from mtil.data.mixing import KindMix
from mtil.errors import DatasetError

TASKS = ["open", "close", "lift"]


def mix(weights: dict[DescriptorKind, float], **told: Sequence[int]) -> KindMix:
    """Kinds of which each task has as many descriptors as given."""
    counts: dict[DescriptorKind, np.ndarray] = {kind: np.array(told.get(kind, (1, 1, 1))) for kind in weights}
    return KindMix(weights, counts, TASKS)


def drawn(kinds: KindMix, task: Sequence[int], *, offset: float = 0.0, first: int = 0) -> list[int]:
    places = torch.arange(first, first + len(task))
    return kinds.draw(torch.tensor(task), places, offset).tolist()


@given(st.integers(1, 60), st.integers(0, 500), st.floats(0, 1, exclude_max=True), st.floats(0.05, 0.95))
def test_any_stretch_of_a_batch_holds_the_kinds_in_their_shares(
    n: int, first: int, offset: float, share: float
) -> None:
    """Of the golden section's multiples, a stretch of n falls into an interval n times its length, within a few."""
    found = drawn(mix({"one_hot": share, "language": 1 - share}), [0] * n, offset=offset, first=first)
    assert abs(found.count(0) - n * share) < 3


def test_over_steps_every_example_takes_every_kind_in_its_share() -> None:
    kinds = mix({"one_hot": 1.0, "language": 2.0, "none": 1.0})
    offsets = np.random.default_rng(0).random(4000)
    found = np.array([drawn(kinds, [0, 1, 2], offset=offset) for offset in offsets])
    for place in range(3):
        np.testing.assert_allclose(np.bincount(found[:, place]) / 4000, [0.25, 0.5, 0.25], atol=0.03)


def test_ranks_draw_their_part_of_what_one_draws() -> None:
    kinds, task = mix({"one_hot": 1.0, "language": 1.0}), torch.arange(12) // 4
    whole = kinds.draw(task, torch.arange(12), 0.3)
    parts = [kinds.draw(task[rank::2], torch.arange(12)[rank::2], 0.3) for rank in range(2)]
    assert torch.equal(torch.stack(parts, 1).flatten(), whole)


def test_one_kind_is_always_drawn() -> None:
    assert drawn(mix({"language": 3.0}), [0, 2, 1, 1]) == [0, 0, 0, 0]


def test_a_task_is_served_by_the_kinds_that_it_has() -> None:
    kinds = mix({"one_hot": 1.0, "language": 2.0, "none": 1.0}, language=(3, 0, 1), none=(1, 1, 0))
    np.testing.assert_allclose(kinds.shares, [[0.25, 0.5, 0.25], [0.5, 0, 0.5], [1 / 3, 2 / 3, 0]])
    task = [1] * 40 + [2] * 40
    found = drawn(kinds, task)
    assert set(found[:40]) == {0, 2}
    assert set(found[40:]) == {0, 1}


def test_tasks_that_nobody_can_tell() -> None:
    with pytest.raises(
        DatasetError,
        match=r"tasks that language cannot tell: close, lift; language needs `language_instruction`.*kind=one_hot\)$",
    ):
        mix({"language": 1.0}, language=(2, 0, 0))


def test_a_kind_that_tells_no_task() -> None:
    with pytest.raises(DatasetError, match=r"no task can be told by language; each needs `language_instruction`"):
        mix({"one_hot": 1.0, "language": 1.0}, language=(0, 0, 0))


def test_tasks_without_examples_need_not_be_told() -> None:
    counts: dict[DescriptorKind, np.ndarray] = {"one_hot": np.array([1, 0, 1]), "language": np.array([1, 0, 0])}
    found = KindMix({"one_hot": 1.0, "language": 1.0}, counts, TASKS, present=np.array([True, False, True]))
    np.testing.assert_allclose(found.shares, [[0.5, 0.5], [0, 0], [1, 0]])
    with pytest.raises(DatasetError, match="no task can be told by language"):
        KindMix({"one_hot": 1.0, "language": 1.0}, counts, TASKS, present=np.array([False, False, True]))
