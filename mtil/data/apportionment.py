"""How many examples of a growing number go to each stratum: quotas that are kept at all times, at two levels.

The quotas follow the window constraints of proportionate fairness (Baruah et al. 1996, "Proportionate progress"): of n
examples every stratum has had within one of its share of n. Meeting the earliest deadline first never misses one. Where
strata are in groups (the tasks of several datasets), this holds for each group among all examples, and for each stratum
among those of its group.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Int

from mtil.errors import ConfigError

_LARGEST = 2**32  # total of weights that are kept exactly
_RESOLUTION = 2**20  # total that the others are rounded to
_SAFE = 2**62  # that 64 bits hold


class Apportionment:
    """Counts of each stratum after so many batches: a function of the seed and of their number.

    Args:
        weights: Relative share of each stratum in its group.
        batch_size: Examples in a batch.
        seed: Decides who comes first where several are due at once.
        groups: Group of each stratum; None: all are in one.
        shares: Relative share of each group.
    """

    def __init__(
        self,
        weights: Sequence[float],
        *,
        batch_size: int,
        seed: int,
        groups: Sequence[int] | None = None,
        shares: Sequence[float] = (1.0,),
    ) -> None:
        group = np.zeros(len(weights), np.int64) if groups is None else np.asarray(groups)
        self._batch_size = batch_size
        self._members = [np.flatnonzero(group == each) for each in range(len(shares))]
        self._groups = _Quotas(integer_weights(shares), np.random.default_rng([seed, 2]).permutation(len(shares)))
        order = np.random.default_rng([seed, 0]).permutation(len(weights))
        values = np.asarray(weights, np.float64)
        self._strata = [_Quotas(integer_weights(values[own].tolist()), order[own]) for own in self._members]
        # The period after which all have exactly their shares, first of the groups, then of all.
        self._round = self._groups.period(batch_size)
        self._had = [self._groups.share(each, self._round * batch_size) for each in range(len(shares))]
        rounds = [quotas.period(had) for quotas, had in zip(self._strata, self._had, strict=True)]
        self._period = self._round * math.lcm(*rounds)
        # Of a group that has as many examples in every batch: that number.
        self._steady = [had // self._round if had % self._round == 0 else 1 for had in self._had]
        self._latest = (0, np.zeros(len(weights), np.int64))  # saves recounting; decides nothing

    def counts(self, steps: int) -> Int[np.ndarray, " strata"]:
        """Examples that each stratum has had after the given number of batches."""
        begin = steps - steps % self._period
        done, counts = self._latest
        if not begin <= done <= steps:
            done, counts = begin, self._exact(begin)
        for step in range(done, steps):
            counts = self.advanced(counts, step + 1)
        self._latest = (steps, counts)
        return counts

    def advanced(self, counts: Int[np.ndarray, " strata"], steps: int) -> Int[np.ndarray, " strata"]:
        """Counts after one more batch, which makes them so many."""
        totals = np.array([steps * self._batch_size])
        if len(self._members) > 1:
            had = np.array([counts[own].sum() for own in self._members])
            totals = self._groups.advanced(had, steps * self._batch_size, at_once=self._batch_size)
        after = np.empty_like(counts)
        for own, quotas, total, steady in zip(self._members, self._strata, totals.tolist(), self._steady, strict=True):
            after[own] = quotas.advanced(counts[own], total, at_once=steady)
        return after

    def _exact(self, steps: int) -> Int[np.ndarray, " strata"]:
        """Counts at the end of a period."""
        counts = np.empty(sum(map(len, self._members)), np.int64)
        for own, quotas, had in zip(self._members, self._strata, self._had, strict=True):
            counts[own] = [quotas.share(each, steps // self._round * had) for each in range(len(own))]
        return counts


class _Quotas:
    """Examples shared out by weights.

    Args:
        weights: Whole numbers.
        order: Who comes first where several are due at once.
    """

    def __init__(self, weights: Int[np.ndarray, " n"], order: Int[np.ndarray, " n"]) -> None:
        self._weights, self._order, self._total = weights, order, int(weights.sum())

    def period(self, examples: int) -> int:
        """How many times so many examples there must be until all have exactly their share."""
        return self._total // math.gcd(self._total, examples)

    def share(self, which: int, examples: int) -> int:
        """The share of one, rounded down."""
        return examples * int(self._weights[which]) // self._total

    def advanced(self, counts: Int[np.ndarray, " n"], examples: int, *, at_once: int) -> Int[np.ndarray, " n"]:
        """Counts once there are so many examples: what is overdue first, then whatever falls due soonest.

        Args:
            counts: Of each, when there were fewer.
            examples: Of all.
            at_once: How many come at a time, where that is always the same; otherwise 1.
        """
        # Python's integers, which never overflow, where products would.
        weights = self._weights.astype(object) if (examples + 1) * self._total >= _SAFE else self._weights
        due = examples * weights
        counts = np.maximum(counts, due // self._total).astype(np.int64)
        spare = examples - int(counts.sum())
        if not spare:
            return counts
        had = counts.astype(weights.dtype)
        eligible = np.flatnonzero(had * self._total < due)
        deadline = -(-(had[eligible] + 1) * self._total // (at_once * weights[eligible])).astype(np.int64)
        soonest = eligible[np.lexsort((self._order[eligible], deadline))[:spare]]
        counts[soonest] += 1
        return counts


def integer_weights(weights: Sequence[float]) -> Int[np.ndarray, " strata"]:
    """Whole numbers in the given proportions: exactly, as the weights are written in decimals, if they are not huge;
    otherwise rounded to parts of 2^20.

    Raises:
        ConfigError: A weight is not positive.
    """
    values = np.asarray(weights, dtype=np.float64)
    if not (np.isfinite(values) & (values > 0)).all():
        raise ConfigError(f"sampling weights must be positive numbers, got {list(weights)}")
    if (values == values.round()).all() and values.sum() < _LARGEST:
        return values.astype(np.int64)
    exact = [Fraction(repr(value)) for value in values.tolist()]
    scale = math.lcm(*(value.denominator for value in exact))
    if sum(exact) * scale < _LARGEST:
        return np.array([int(value * scale) for value in exact])
    return np.maximum(1, (values / values.sum() * _RESOLUTION).round()).astype(np.int64)
