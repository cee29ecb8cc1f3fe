"""Ways to draw batches that have the same expected loss, so that their variances compare.

They differ in how many examples of each task a batch holds, and in nothing else: each task's windows are shuffled, and
the batch takes the first of them. From the same random state all schemes shuffle alike, so that their batches share
most windows, and their variances compare more closely than those of independent batches would.

Legend: B batch, T tasks.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import final

import numpy as np
from jaxtyping import Float, Int

from mtil.data.apportionment import integer_weights
from mtil.data.sampling import StratifiedBatchSampler
from mtil.training.gradients import Population

_STEPS = 100  # whose counts stand for those of all steps


class BatchScheme(ABC):
    """Draws batches whose loss is, in expectation, `sum_i w_i * (mean loss of task i)`.

    Args:
        population: The windows.
        weights: `w`, in any scale.
        batch_size: Examples in a batch.

    Attributes:
        weights: `w`, summing to one.
        importance: Factor of each task's examples in the loss `sum_b importance_b * loss_b / B`.
    """

    name: str

    def __init__(self, population: Population, *, weights: Sequence[float], batch_size: int) -> None:
        whole = integer_weights(weights)  # as the sampler has them
        self.population, self.batch_size = population, batch_size
        self.weights: Float[np.ndarray, " T"] = whole / whole.sum()
        self.importance: Float[np.ndarray, " T"] = np.ones(len(whole))

    @abstractmethod
    def counts(self, step: int, rng: np.random.Generator) -> Int[np.ndarray, " T"]:
        """Examples of each task in a batch."""

    @abstractmethod
    def between(self, gram: Float[np.ndarray, "T T"]) -> float:
        """Variance of a batch's gradient that comes of the counts, given the products of the tasks' gradients."""

    def draw(self, step: int, rng: np.random.Generator) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
        """The windows of a batch, none of a task's again before all have been had, and how each is told."""
        order = [rng.permutation(windows) for windows in self.population.members]
        telling = [rng.integers(ways, size=self.batch_size) for ways in self.population.tellings]
        counts = self.counts(step, rng).tolist()
        windows = [np.resize(windows, count) for windows, count in zip(order, counts, strict=True)]
        told = [ways[:count] for ways, count in zip(telling, counts, strict=True)]
        return np.concatenate(windows), np.concatenate(told)


@final
class Stratified(BatchScheme):
    """Every batch holds every task in its fixed share, up to whole numbers: the counts of `StratifiedBatchSampler`."""

    name = "stratified"

    def __init__(self, population: Population, *, weights: Sequence[float], batch_size: int) -> None:
        super().__init__(population, weights=weights, batch_size=batch_size)
        self._sampler = StratifiedBatchSampler(population.task, weights=weights, batch_size=batch_size, seed=0)

    def counts(self, step: int, rng: np.random.Generator) -> Int[np.ndarray, " T"]:
        return self._counts(step)

    def between(self, gram: Float[np.ndarray, "T T"]) -> float:
        """What whole numbers leave of it; none if every task's share of a batch is whole."""
        apart = np.stack([self._counts(step) for step in range(_STEPS)]) / self.batch_size - self.weights
        return float(((apart @ gram) * apart).sum(axis=1).mean())

    def _counts(self, step: int) -> Int[np.ndarray, " T"]:
        return np.bincount(self.population.task[self._sampler.batch(step)], minlength=len(self.weights))


@final
class TasksAtRandom(BatchScheme):
    """Each example's task is drawn by weight, independently of the others."""

    name = "random tasks"

    def counts(self, step: int, rng: np.random.Generator) -> Int[np.ndarray, " T"]:
        return rng.multinomial(self.batch_size, self.weights)

    def between(self, gram: Float[np.ndarray, "T T"]) -> float:
        return float(self.weights @ np.diag(gram) - self.weights @ gram @ self.weights) / self.batch_size


@final
class WindowsAtRandom(BatchScheme):
    """Windows are drawn uniformly, whatever their task, and weighted so that the expected loss is the same."""

    def __init__(self, population: Population, *, weights: Sequence[float], batch_size: int) -> None:
        super().__init__(population, weights=weights, batch_size=batch_size)
        self.importance = self.weights * population.windows.sum() / population.windows
        plain = np.allclose(self.importance, 1)
        self.name = "random windows" if plain else "weighted windows"

    def counts(self, step: int, rng: np.random.Generator) -> Int[np.ndarray, " T"]:
        windows = self.population.windows
        passes, rest = divmod(self.batch_size, int(windows.sum()))
        return passes * windows + rng.multivariate_hypergeometric(windows, rest)

    def between(self, gram: Float[np.ndarray, "T T"]) -> float:
        total = int(self.population.windows.sum())
        rest = self.batch_size % total  # whole passes do not vary
        spread = (self.weights * self.importance) @ np.diag(gram) - self.weights @ gram @ self.weights
        return float(spread) * rest * (total - rest) / max(1, total - 1) / self.batch_size**2
