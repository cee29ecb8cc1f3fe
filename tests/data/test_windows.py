import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.windows import Windows

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=5)


@given(lengths, st.integers(1, 6), st.integers(1, 6))
def test_windows_equal_clipped_slices(lengths: list[int], history: int, chunk: int) -> None:
    """The reference is robomimic's rule: a window at t is `rows[clip(t - h .. t + k)]`."""
    length = torch.tensor(lengths)
    start = length.cumsum(0) - length
    windows = Windows(start, length, history=history, chunk=chunk)
    found = windows.rows(torch.arange(len(windows)))
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


def test_windows_of_chosen_episodes_read_only_their_rows() -> None:
    windows = Windows(torch.tensor([10, 30]), torch.tensor([3, 2]), history=2, chunk=2)
    found = windows.rows(torch.arange(len(windows)))
    assert windows.episode.tolist() == [0, 0, 0, 1, 1]
    assert found.history.tolist() == [[10, 10], [10, 11], [11, 12], [30, 30], [30, 31]]
    assert found.chunk.tolist() == [[10, 11], [11, 12], [12, 12], [30, 31], [31, 31]]


def test_the_present_step_is_never_masked() -> None:
    windows = Windows(torch.tensor([0]), torch.tensor([1]), history=3, chunk=3)
    found = windows.rows(torch.tensor([0]))
    assert found.history_mask.tolist() == [[False, False, True]]
    assert found.chunk_mask.tolist() == [[True, False, False]]
