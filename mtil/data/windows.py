"""Windows of time: observation history and action chunk around a step, by index arithmetic alone.

Legend: B batch, F frames of a clip, H history, K chunk, E episodes, W windows. A window exists for every step of every
episode; beyond an episode's ends the edge row is repeated and masked, as robomimic's reader pads.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class WindowRows:
    """Rows of the store that a batch of windows reads, and which of them are real."""

    history: Int[np.ndarray, "B H"]
    history_mask: Bool[np.ndarray, "B H"]
    chunk: Int[np.ndarray, "B K"]
    chunk_mask: Bool[np.ndarray, "B K"]


@dataclass(frozen=True)
class Place:
    """Rows of the store: of the present step of windows, and where their episodes begin and end."""

    row: Int[np.ndarray, " B"]
    first: Int[np.ndarray, " B"]
    last: Int[np.ndarray, " B"]


class Windows:
    """All windows of the chosen episodes.

    What surrounds a step is one of a few patterns, told apart by how near the episode's ends are: a batch is looked up
    in tables of them.

    Args:
        start: First row of each episode.
        length: Number of steps of each episode, at least 1.
        history: Observations a window sees, the present one last.
        chunk: Actions a window predicts, the present one first.

    Attributes:
        episode: Position of each window's episode.
    """

    def __init__(
        self, start: Int[np.ndarray, " E"], length: Int[np.ndarray, " E"], *, history: int, chunk: int
    ) -> None:
        self.episode = np.arange(len(start)).repeat(length)
        step = np.arange(len(self.episode)) - (length.cumsum() - length)[self.episode]
        self._row = start[self.episode] + step
        self._start, self._length = start, length
        self._before = np.minimum(step, history - 1)
        self._after = np.minimum(length[self.episode] - 1 - step, chunk - 1)
        past, future = np.arange(1 - history, 1), np.arange(chunk)
        first, last = -np.arange(history)[:, None], np.arange(chunk)[:, None]
        self._past, self._past_mask = np.maximum(past, first), past >= first
        self._future, self._future_mask = np.minimum(future, last), future <= last

    def __len__(self) -> int:
        return len(self._row)

    def rows(self, windows: Int[np.ndarray, " B"]) -> WindowRows:
        """Where the given windows lie in the store."""
        row, before, after = (x.take(windows) for x in (self._row, self._before, self._after))
        return WindowRows(
            history=row[:, None] + self._past.take(before, axis=0),
            history_mask=self._past_mask.take(before, axis=0),
            chunk=row[:, None] + self._future.take(after, axis=0),
            chunk_mask=self._future_mask.take(after, axis=0),
        )

    def place(self, windows: Int[np.ndarray, " B"]) -> Place:
        """Where the given windows lie in their episodes."""
        episode = self.episode.take(windows)
        first = self._start.take(episode)
        return Place(self._row.take(windows), first, first + self._length.take(episode) - 1)


def spread(steps: int, frames: int, *, stray: Float[np.ndarray, " F"] | float = 0.0) -> Int[np.ndarray, " F"]:
    """Positions of frames in a clip of so many steps: the first, the last, and evenly between them.

    Of a clip that is shorter than F, some are taken twice.

    Args:
        steps: Of the clip.
        frames: F.
        stray: How far each is from there, in distances between frames, from -1/2 to 1/2; none leaves the clip.
    """
    last = steps - 1
    distance = last / (frames - 1) if frames > 1 else 0.0
    return (np.linspace(0, last, frames) + stray * distance).clip(0, last).round().astype(np.int64)
