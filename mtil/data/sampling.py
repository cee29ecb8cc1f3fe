"""Which windows make a batch: stratified over tasks, index-only, and a pure function of (seed, step)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Sampler

from mtil.data.apportionment import Apportionment

_BLOCK = 16  # batches drawn at once, so that they share the cost of going through all strata


@dataclass(frozen=True)
class Draw:
    """A rank's part of a global batch.

    Attributes:
        step: Which batch; with the seed it decides everything else that is drawn for it.
        windows: The windows of this part.
        places: Where in the global batch each of them stands.
        size: Examples in the global batch.
        parts: Ranks that share it.
    """

    step: int
    windows: Int[Tensor, " B"]
    places: Int[Tensor, " B"]
    size: int
    parts: int

    @staticmethod
    def part(step: int, windows: Int[Tensor, " _"], *, rank: int = 0, world_size: int = 1) -> "Draw":
        """A rank's part of a global batch: every so manyth example, so that each stratum is shared out evenly."""
        places = torch.arange(len(windows))[rank::world_size]
        return Draw(step, windows[places], places, len(windows), world_size)

    @property
    def weight(self) -> Float[Tensor, " B"]:
        """Of each example in the rank's loss, such that the mean of the ranks' losses is that of the global batch."""
        return torch.full(self.windows.shape, self.parts / self.size)


class StratifiedBatchSampler(Sampler[Draw]):
    """Draws every batch across strata in fixed shares, each stratum without repetition within its own pass.

    Args:
        stratum: Stratum (task) of each window.
        weights: Relative share of each stratum in its group.
        batch_size: Examples in the global batch, over all ranks.
        seed: With the step, decides everything.
        start: First step to yield; resuming is starting there.
        rank: This process's part of the global batch.
        world_size: Number of parts.
        groups: Group (dataset) of each stratum; None: all are in one.
        shares: Relative share of each group.
        origin: Step at which the first pass over each stratum begins; none before it is asked for.
        anew: Whether shares are kept from there on, since they were others before.
    """

    def __init__(
        self,
        stratum: Int[np.ndarray, " W"],
        *,
        weights: Sequence[float],
        batch_size: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        world_size: int = 1,
        groups: Sequence[int] | None = None,
        shares: Sequence[float] = (1.0,),
        origin: int = 0,
        anew: bool = False,
    ) -> None:
        self._members = [np.flatnonzero(stratum == i) for i in range(len(weights))]
        self._quotas = Apportionment(weights, batch_size=batch_size, seed=seed, groups=groups, shares=shares)
        self._batch_size, self._seed, self._start = batch_size, seed, start
        self._rank, self._world_size = rank, world_size
        self._origin, self._counted_from = origin, origin if anew else 0
        self._before = self.counts(origin)
        self._passes: dict[int, tuple[int, Int[np.ndarray, " n"]]] = {}
        self._block = (-1, np.empty((0, batch_size), np.int64))  # its first step, its batches; decides nothing

    def __iter__(self) -> Iterator[Draw]:
        mine = slice(self._rank, None, self._world_size)
        places = torch.arange(self._batch_size)[mine]
        for step in itertools.count(self._start):
            windows = torch.from_numpy(self.batch(step)[mine])
            yield Draw(step, windows, places, self._batch_size, self._world_size)

    def batch(self, step: int) -> Int[np.ndarray, " B"]:
        """The windows of the global batch of a step, in order of stratum."""
        first = step - (step - self._origin) % _BLOCK
        if self._block[0] != first:
            self._block = (first, self._batches(first))
        return self._block[1][step - first].copy()

    def counts(self, steps: int) -> Int[np.ndarray, " strata"]:
        """Examples that each stratum has had after the given number of batches, since shares are kept."""
        return self._quotas.counts(steps - self._counted_from)

    def _batches(self, first: int) -> Int[np.ndarray, "steps B"]:
        """The global batches of a block of steps."""
        counts = [self.counts(steps) for steps in range(first, first + _BLOCK + 1)]
        spans = enumerate(zip(counts[0].tolist(), counts[-1].tolist(), strict=True))
        drawn = np.concatenate([self._draw(i, begin, end) for i, (begin, end) in spans if begin < end])
        shares = np.diff(counts, axis=0)
        step = np.tile(np.arange(_BLOCK, dtype=np.int16), shares.shape[1]).repeat(shares.T.ravel())
        return drawn[np.argsort(step, kind="stable")].reshape(_BLOCK, self._batch_size)

    def _draw(self, stratum: int, begin: int, end: int) -> Int[np.ndarray, " n"]:
        """The stratum's draws number `begin` to `end`, counted from the start of training."""
        begin, end = (count - int(self._before[stratum]) for count in (begin, end))
        size = len(self._members[stratum])
        parts = []
        while begin < end:
            pass_, offset = divmod(begin, size)
            take = min(end - begin, size - offset)
            parts.append(self._shuffled(stratum, pass_)[offset : offset + take])
            begin += take
        return np.concatenate(parts)

    def _shuffled(self, stratum: int, pass_: int) -> Int[np.ndarray, " n"]:
        cached = self._passes.get(stratum)
        if cached is None or cached[0] != pass_:
            rng = np.random.default_rng([self._seed, 1, stratum, pass_])
            cached = self._passes[stratum] = (pass_, rng.permutation(self._members[stratum]))
        return cached[1]


class SequentialBatchSampler(Sampler[Draw]):
    """Every window once, in order: for validation. All ranks have as many batches, the last of which may be empty."""

    def __init__(self, windows: int, *, batch_size: int, rank: int = 0, world_size: int = 1) -> None:
        self._batches = torch.arange(windows).split(batch_size) if windows else ()
        self._rank, self._world_size = rank, world_size

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[Draw]:
        for step, windows in enumerate(self._batches):
            yield Draw.part(step, windows, rank=self._rank, world_size=self._world_size)
