"""Gradients of the tasks at fixed weights: how strong they are, which fight, and what each is of the whole.

A task's gradient is that of its mean loss, over its windows told in every way that the task can be told. If not all
windows are read, its noise is known from the spread of groups of them, and is taken out of its squared norm: products
of gradients are unbiased, and exact if all are read.

Legend: W windows, T tasks, P parameters, B batch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

WindowGradient = Callable[[Int[np.ndarray, " B"], Int[np.ndarray, " B"], Float[np.ndarray, " B"]], Float[Tensor, " P"]]
"""From windows, how each is told (one of its task's tellings) and weights: the gradient of `sum(weight * loss)`."""


@dataclass(frozen=True)
class Population:
    """What is sampled from.

    Attributes:
        task: Position of each window's task; every task has a window.
        tellings: Number of ways (sentences) in which each task can be told; a draw takes one at random.
    """

    task: Int[np.ndarray, " W"]
    tellings: Int[np.ndarray, " T"]

    @cached_property
    def members(self) -> list[Int[np.ndarray, " _"]]:
        """The windows of each task."""
        return [np.flatnonzero(self.task == i) for i in range(len(self.tellings))]

    @cached_property
    def windows(self) -> Int[np.ndarray, " T"]:
        """How many there are of each task."""
        return np.bincount(self.task, minlength=len(self.tellings))


@dataclass(frozen=True)
class TaskGradients:
    """The gradient of each task's mean loss, and how the gradients of its single windows scatter about it.

    Attributes:
        mean: Over the windows read.
        scatter: Variance of a window's gradient, told in every way, summed over parameters (divisor: windows - 1).
        wording: What it varies by in addition if told in one way at random.
        read: Windows of each task that were read.
        windows: Windows of each task that there are.
    """

    mean: Float64[Tensor, "T P"]
    scatter: Float[np.ndarray, " T"]
    wording: Float[np.ndarray, " T"]
    read: Int[np.ndarray, " T"]
    windows: Int[np.ndarray, " T"]

    @property
    def noise(self) -> Float[np.ndarray, " T"]:
        """Expected squared distance of each mean from that over all windows; zero if all were read."""
        return self.scatter * (1 / self.read - 1 / self.windows)

    @cached_property
    def gram(self) -> Float[np.ndarray, "T T"]:
        """Products of the tasks' gradients, unbiased: the noise of the squared norms is taken out."""
        return self._products - np.diag(self.noise)

    @property
    def reliability(self) -> Float[np.ndarray, " T"]:
        """Share of each mean's squared norm that is not noise: the cosine to expect of two such estimates."""
        measured = np.diag(self._products)
        return np.divide(np.diag(self.gram), measured, out=np.full(len(measured), np.nan), where=measured > 0)

    @cached_property
    def _products(self) -> Float[np.ndarray, "T T"]:
        return (self.mean @ self.mean.T).numpy()


def task_gradients(
    gradient: WindowGradient, population: Population, *, groups: int, batch_size: int, rng: np.random.Generator
) -> TaskGradients:
    """Measure the gradient of every task over groups of its windows, drawn without repetition.

    Args:
        gradient: The gradient of a weighted sum of losses.
        population: The windows.
        groups: Groups of windows to read of each task, at least 2; all its windows if that is enough of them.
        batch_size: Losses in a group, at most: a window told in three ways makes three.
        rng: Decides which windows.
    """
    assert groups > 1, "the scatter needs two groups"
    found = [
        _measure(gradient, windows, tellings, groups=groups, size=max(1, batch_size // tellings), rng=rng)
        for windows, tellings in zip(population.members, population.tellings.tolist(), strict=True)
    ]
    mean, scatter, wording, read = zip(*found, strict=True)
    return TaskGradients(torch.stack(mean), np.array(scatter), np.array(wording), np.array(read), population.windows)


def cosines(gram: Float[np.ndarray, "T T"]) -> Float[np.ndarray, "T T"]:
    """Cosines of the tasks' gradients; not a number where noise leaves nothing of a gradient.

    With the unbiased products of gradients read in part, these are the cosines corrected for attenuation (Spearman
    1904, American Journal of Psychology 15:72-101), which may lie beyond one.
    """
    norms = _norms(gram)
    return gram / np.outer(norms, norms)


def shares(gram: Float[np.ndarray, "T T"], weights: Float[np.ndarray, " T"]) -> Float[np.ndarray, " T"]:
    """What each task is of the gradient `g = sum_i w_i g_i` of the whole objective: `w_i <g_i, g> / |g|^2`.

    They sum to one. A task that the others overrule has a negative share; not a number if noise leaves nothing of `g`.
    """
    along = weights * (gram @ weights)
    whole = along.sum()
    return along / whole if whole > 0 else np.full(len(weights), np.nan)


def agreement(gram: Float[np.ndarray, "T T"], weights: Float[np.ndarray, " T"]) -> float:
    """`|sum_i w_i g_i| / sum_i w_i |g_i|`: one if all tasks pull the same way, zero if they cancel, as at a minimum."""
    return float(np.sqrt(max(0.0, weights @ gram @ weights)) / (weights @ _norms(gram)))


def conflicts(cosines: Float[np.ndarray, "T T"]) -> list[tuple[int, int]]:
    """Pairs of tasks whose gradients have a negative cosine, the most negative first."""
    first, second = np.nonzero(np.triu(cosines < 0, k=1))
    order = np.argsort(cosines[first, second], kind="stable")
    return list(zip(first[order].tolist(), second[order].tolist(), strict=True))


def square(gradient: Float[Tensor, " P"]) -> float:
    """The squared norm, in double precision."""
    return float(torch.linalg.vector_norm(gradient, dtype=torch.float64) ** 2)


def _norms(gram: Float[np.ndarray, "T T"]) -> Float[np.ndarray, " T"]:
    squares = np.diag(gram)
    return np.sqrt(np.where(squares > 0, squares, np.nan))


def _measure(
    gradient: WindowGradient,
    windows: Int[np.ndarray, " _"],
    tellings: int,
    *,
    groups: int,
    size: int,
    rng: np.random.Generator,
) -> tuple[Float[Tensor, " P"], float, float, int]:
    """Mean gradient, scatter, wording and number of windows read, of one task."""
    read = rng.permutation(windows)[: groups * size]
    parts = np.array_split(read, min(groups, len(read)))
    overall, squares, wording = torch.zeros((), dtype=torch.float64), 0.0, 0.0
    for part in parts:
        mean, distance = _told_in_every_way(gradient, part, tellings, rng)
        overall = overall + mean.double() * (len(part) / len(read))
        squares += len(part) * square(mean)
        wording += len(part) * distance * len(part) / len(read)
    scatter = (squares - len(read) * square(overall)) / max(1, len(parts) - 1)
    return overall, scatter, wording, len(read)


def _told_in_every_way(
    gradient: WindowGradient, windows: Int[np.ndarray, " _"], tellings: int, rng: np.random.Generator
) -> tuple[Float[Tensor, " P"], float]:
    """Mean gradient over windows and tellings, and its squared distance if each is told in one way at random."""
    count = len(windows)
    telling = rng.integers(tellings, size=count)
    one = gradient(windows, telling, np.full(count, 1 / count))
    if tellings == 1:
        return one, 0.0
    others = (telling[:, None] + np.arange(1, tellings)) % tellings
    rest = gradient(windows.repeat(tellings - 1), others.ravel(), np.full(others.size, 1 / others.size))
    mean = one + (rest - one) * ((tellings - 1) / tellings)
    return mean, square(one - mean)
