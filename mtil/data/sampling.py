"""Which windows make a batch: stratified over tasks, index-only, and a pure function of (seed, step).

The quotas follow the window constraints of proportionate fairness (Baruah et al. 1996, "Proportionate progress"): after
t batches every task has had within one of `t * B * w` examples. Meeting the earliest deadline first never misses one.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Sampler

from mtil.errors import ConfigError

_RESOLUTION = 2**20  # real-valued weights become integers of this total, so that quotas are exact
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
        weights: Relative share of each stratum; integers are kept exactly.
        batch_size: Examples in the global batch, over all ranks.
        seed: With the step, decides everything.
        start: First step to yield; resuming is starting there.
        rank: This process's part of the global batch.
        world_size: Number of parts.
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
    ) -> None:
        self._members = [np.flatnonzero(stratum == i) for i in range(len(weights))]
        self._weights = integer_weights(weights)
        self._total, self._quota = int(self._weights.sum()), batch_size * self._weights
        self._batch_size, self._seed, self._start = batch_size, seed, start
        self._rank, self._world_size = rank, world_size
        self._tie_break = np.random.default_rng([seed, 0]).permutation(len(weights))
        self._latest = (0, np.zeros_like(self._weights))  # saves recounting; decides nothing
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
        first = step - step % _BLOCK
        if self._block[0] != first:
            self._block = (first, self._batches(first))
        return self._block[1][step - first].copy()

    def counts(self, steps: int) -> Int[np.ndarray, " strata"]:
        """Examples that each stratum has had after the given number of batches.

        After every `period` batches each stratum has had its exact share, and all begins anew.
        """
        period = self._total // math.gcd(self._total, self._batch_size)
        begin = steps - steps % period
        done, counts = self._latest
        if not begin <= done <= steps:
            done, counts = begin, begin * self._quota // self._total
        for step in range(done, steps):
            counts = self._advance(counts, step + 1)
        return counts

    def _batches(self, first: int) -> Int[np.ndarray, "steps B"]:
        """The global batches of a block of steps."""
        counts = [self.counts(first)]
        for step in range(first, first + _BLOCK):
            counts.append(self._advance(counts[-1], step + 1))
        self._latest = (first + _BLOCK, counts[-1])
        spans = enumerate(zip(counts[0].tolist(), counts[-1].tolist(), strict=True))
        drawn = np.concatenate([self._draw(i, begin, end) for i, (begin, end) in spans if begin < end])
        shares = np.diff(counts, axis=0)
        step = np.tile(np.arange(_BLOCK, dtype=np.int16), shares.shape[1]).repeat(shares.T.ravel())
        return drawn[np.argsort(step, kind="stable")].reshape(_BLOCK, self._batch_size)

    def _advance(self, counts: Int[np.ndarray, " strata"], steps: int) -> Int[np.ndarray, " strata"]:
        """Counts after one more batch: what is overdue first, then whatever falls due soonest."""
        due = steps * self._quota
        counts = np.maximum(counts, due // self._total)
        spare = steps * self._batch_size - int(counts.sum())
        if not spare:
            return counts
        eligible = np.flatnonzero(counts * self._total < due)
        deadline = -(-(counts[eligible] + 1) * self._total // self._quota[eligible])
        soonest = eligible[np.lexsort((self._tie_break[eligible], deadline))[:spare]]
        counts[soonest] += 1
        return counts

    def _draw(self, stratum: int, begin: int, end: int) -> Int[np.ndarray, " n"]:
        """The stratum's draws number `begin` to `end`, counted from the start of training."""
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


def integer_weights(weights: Sequence[float]) -> Int[np.ndarray, " strata"]:
    """Integers in the given proportions: as they are if whole (and not huge), otherwise rounded to parts of 2^20.

    Raises:
        ConfigError: A weight is not positive.
    """
    values = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ConfigError(f"sampling weights must be positive numbers, got {list(weights)}")
    if (values == values.round()).all() and values.sum() < 2**32:
        return values.astype(np.int64)
    return np.maximum(1, (values / values.sum() * _RESOLUTION).round()).astype(np.int64)
