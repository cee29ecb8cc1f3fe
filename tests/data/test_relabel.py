"""Goals come from where the relabelling says, within the episode of their window, and as often as it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from mtil.data.config import FinalGoal, FutureGoal, RandomGoal, Relabelling, StatedGoal
from mtil.data.relabel import goal_rows
from mtil.data.windows import Place, Windows

LENGTHS = st.lists(st.integers(1, 12), min_size=1, max_size=5)
SHARE = st.floats(0, 1, exclude_max=True)
GEOMETRIC = [FutureGoal(offsets="geometric", mean=mean) for mean in (1, 3)]
ANY = st.sampled_from([FinalGoal(), FutureGoal(), *GEOMETRIC, RandomGoal(), StatedGoal(key="desired")])


def place_of(lengths: list[int]) -> Place:
    """Of all windows of episodes that lie apart in the store."""
    length = np.array(lengths)
    windows = Windows(10 + length.cumsum() - length, length, history=2, chunk=3)
    return windows.place(np.arange(len(windows)))


@given(LENGTHS)
def test_a_window_lies_between_the_ends_of_its_episode(lengths: list[int]) -> None:
    place = place_of(lengths)
    ends = [(first, first + n - 1) for first, n in zip(10 + np.cumsum(lengths) - lengths, lengths, strict=True)]
    expected = [(row, first, last) for first, last in ends for row in range(first, last + 1)]
    assert list(zip(place.row, place.first, place.last, strict=True)) == expected


@given(LENGTHS, SHARE, ANY)
def test_goals_are_of_the_same_episode(lengths: list[int], share: float, config: Relabelling) -> None:
    place = place_of(lengths)
    rows = goal_rows(config, place, np.full(len(place.row), share))
    assert rows.dtype == np.int64
    assert ((rows >= place.first) & (rows <= place.last)).all()
    if isinstance(config, FinalGoal):
        assert (rows == place.last).all()
    if isinstance(config, FutureGoal):
        assert ((rows > place.row) == (place.row < place.last)).all()
    if isinstance(config, StatedGoal):
        assert (rows == place.row).all()


def frequencies(config: Relabelling, *, left: int, before: int = 0) -> np.ndarray:
    """How often each step of an episode is the goal of its step `before`, over evenly spread shares."""
    share = (np.arange(100_000) + 0.5) / 100_000
    row = np.full(len(share), before)
    rows = goal_rows(config, Place(row, np.zeros_like(row), np.full_like(row, before + left)), share)
    return np.bincount(rows, minlength=before + left + 1) / len(share)


def test_uniform_offsets() -> None:
    np.testing.assert_allclose(frequencies(FutureGoal(), left=4, before=2), [0, 0, 0, *4 * [0.25]], atol=1e-4)


def test_geometric_offsets_are_cut_at_the_end() -> None:
    """In proportion to p (1 - p)^(k - 1), as far as the episode goes."""
    found = frequencies(FutureGoal(offsets="geometric", mean=4), left=6)
    expected = 0.75 ** np.arange(6)
    np.testing.assert_allclose(found, [0, *expected / expected.sum()], atol=1e-4)


def test_any_step() -> None:
    np.testing.assert_allclose(frequencies(RandomGoal(), left=3, before=1), 5 * [0.2], atol=1e-4)


def test_the_mean_offset_is_a_step_at_least() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        TypeAdapter(Relabelling).validate_python({"kind": "future", "offsets": "geometric", "mean": 0.5})
