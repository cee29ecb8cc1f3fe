from dataclasses import fields

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.windows import WindowRows, Windows

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=5)


def side_by_side(lengths: list[int], *, history: int, chunk: int) -> tuple[Windows, np.ndarray]:
    """Windows of episodes that lie one after the other, and where each begins."""
    length = np.array(lengths, dtype=np.int64)
    start = length.cumsum() - length
    return Windows(start, length, history=history, chunk=chunk), start


@given(lengths, st.integers(1, 6), st.integers(1, 6))
def test_windows_equal_clipped_slices(lengths: list[int], history: int, chunk: int) -> None:
    """The reference is robomimic's rule: a window at t is `rows[clip(t - h .. t + k)]`."""
    windows, start = side_by_side(lengths, history=history, chunk=chunk)
    found = windows.rows(np.arange(len(windows)))
    at = 0
    for first, steps in zip(start.tolist(), lengths, strict=True):
        for t in range(steps):
            past, future = t + np.arange(1 - history, 1), t + np.arange(chunk)
            assert found.history[at].tolist() == (first + past.clip(0, steps - 1)).tolist()
            assert found.chunk[at].tolist() == (first + future.clip(0, steps - 1)).tolist()
            assert found.history_mask[at].tolist() == (past >= 0).tolist()
            assert found.chunk_mask[at].tolist() == (future < steps).tolist()
            at += 1
    assert at == len(windows)


@given(lengths, st.integers(1, 6), st.integers(1, 6), st.data())
def test_a_window_is_the_same_in_whatever_company(
    lengths: list[int], history: int, chunk: int, data: st.DataObject
) -> None:
    windows, _ = side_by_side(lengths, history=history, chunk=chunk)
    every = windows.rows(np.arange(len(windows)))
    chosen = np.array(data.draw(st.lists(st.integers(0, len(windows) - 1), max_size=20)), dtype=np.int64)
    found = windows.rows(chosen)
    for field in fields(WindowRows):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(every, field.name)[chosen])


def test_no_episodes_no_windows() -> None:
    windows, _ = side_by_side([], history=2, chunk=3)
    assert len(windows) == 0
    assert windows.rows(np.arange(0)).chunk.shape == (0, 3)


def test_windows_of_chosen_episodes_read_only_their_rows() -> None:
    windows = Windows(np.array([10, 30]), np.array([3, 2]), history=2, chunk=2)
    found = windows.rows(np.arange(len(windows)))
    assert windows.episode.tolist() == [0, 0, 0, 1, 1]
    assert found.history.tolist() == [[10, 10], [10, 11], [11, 12], [30, 30], [30, 31]]
    assert found.chunk.tolist() == [[10, 11], [11, 12], [12, 12], [30, 31], [31, 31]]


def test_the_present_step_is_never_masked() -> None:
    windows, _ = side_by_side([1], history=3, chunk=3)
    found = windows.rows(np.array([0]))
    assert found.history_mask.tolist() == [[False, False, True]]
    assert found.chunk_mask.tolist() == [[True, False, False]]
