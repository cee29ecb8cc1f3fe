"""Windows of time: observation history and action chunk around a step, by index arithmetic alone.

Legend: B batch, H history, K chunk, E episodes, W windows. A window exists for every step of every episode; beyond an
episode's ends the edge row is repeated and masked, as robomimic's reader pads.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor


@dataclass(frozen=True)
class WindowRows:
    """Rows of the store that a batch of windows reads, and which of them are real."""

    history: Int[Tensor, "B H"]
    history_mask: Bool[Tensor, "B H"]
    chunk: Int[Tensor, "B K"]
    chunk_mask: Bool[Tensor, "B K"]


class Windows:
    """All windows of the chosen episodes.

    Args:
        start: First row of each episode.
        length: Number of steps of each episode, at least 1.
        history: Observations a window sees, the present one last.
        chunk: Actions a window predicts, the present one first.
    """

    def __init__(self, start: Int[Tensor, " E"], length: Int[Tensor, " E"], *, history: int, chunk: int) -> None:
        self._first = start.repeat_interleave(length)
        self._last = (start + length - 1).repeat_interleave(length)
        self.episode = torch.arange(len(start)).repeat_interleave(length)
        offset = torch.arange(len(self.episode)) - (length.cumsum(0) - length).repeat_interleave(length)
        self._row = self._first + offset
        self._past = torch.arange(1 - history, 1)
        self._future = torch.arange(chunk)

    def __len__(self) -> int:
        return len(self._row)

    def rows(self, windows: Int[Tensor, " B"]) -> WindowRows:
        """Where the given windows lie in the store."""
        row, first, last = (x[windows].unsqueeze(1) for x in (self._row, self._first, self._last))
        past, future = row + self._past, row + self._future
        return WindowRows(
            history=torch.maximum(past, first),
            history_mask=past >= first,
            chunk=torch.minimum(future, last),
            chunk_mask=future <= last,
        )
