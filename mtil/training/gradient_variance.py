"""Variance of the gradient of a minibatch, `E |g - E g|^2`, at fixed weights, and what it is made of.

The expectation is known from the tasks' gradients, so that each batch alone gives an unbiased estimate, and nothing
of it needs to be kept but three numbers. By the law of total variance it has two parts: of windows within the tasks,
and between the tasks, of how many examples of each there are. Stratification takes the second away, up to whole
numbers.

Legend: N batches, T tasks, P parameters.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtil.training.batch_schemes import BatchScheme
from mtil.training.gradients import TaskGradients, WindowGradient, square

_RESAMPLES = 2_000


@dataclass(frozen=True)
class BatchSpread:
    """Squared distances of the gradients of batches from their expectation.

    Attributes:
        total: From the expectation.
        within: From the expectation given the batch's number of examples of each task.
        between: Between the two expectations. (Total is within and between, and a product that is zero on average.)
        expected_within: What `within` is by theory, for these numbers of examples.
        expected_between: What `between` is by theory.
    """

    total: Float[np.ndarray, " N"]
    within: Float[np.ndarray, " N"]
    between: Float[np.ndarray, " N"]
    expected_within: float
    expected_between: float


def batch_spread(
    gradient: WindowGradient,
    scheme: BatchScheme,
    tasks: TaskGradients,
    *,
    batches: int,
    seed: int,
) -> BatchSpread:
    """Draw batches by a scheme, independently of each other, and measure how far their gradients lie from expectation.

    What the noise of the tasks' gradients adds, where they were read in part, is taken away again.

    Args:
        gradient: The gradient of a weighted sum of losses.
        scheme: How batches are drawn.
        tasks: The tasks' gradients, measured before.
        batches: How many to draw.
        seed: Decides which. Schemes measured with the same seed may be compared batch by batch.
    """
    rows = []
    for step in range(batches):
        windows, telling = scheme.draw(step, np.random.default_rng([seed, 1, step]))
        task = scheme.population.task[windows]
        found = gradient(windows, telling, scheme.importance[task] / scheme.batch_size)
        rows.append(_distances(found, scheme, np.bincount(task, minlength=len(scheme.weights)), tasks))
    total, within, between, expected = np.array(rows).T
    return BatchSpread(total, within, between, float(expected.mean()), scheme.between(tasks.gram))


def bootstrap_means(values: Float[np.ndarray, "_ N"], rng: np.random.Generator) -> Float[np.ndarray, "_ _"]:
    """Means of resamples of the columns, the same ones for each row (Efron 1979, Annals of Statistics 7:1-26)."""
    count = values.shape[1]
    return np.stack([values[:, rng.integers(count, size=count)].mean(axis=1) for _ in range(_RESAMPLES)], axis=1)


def interval(means: Float[np.ndarray, " _"]) -> tuple[float, float]:
    """The middle 95% of resampled means."""
    low, high = np.percentile(means, [2.5, 97.5]).tolist()
    return low, high


def _distances(
    found: Float[Tensor, " P"], scheme: BatchScheme, counts: Int[np.ndarray, " T"], tasks: TaskGradients
) -> tuple[float, float, float, float]:
    """A batch's `total`, `within`, `between` and `expected_within`."""
    mixture = scheme.importance * counts / scheme.batch_size
    apart = mixture - scheme.weights
    return (
        _distance(found, scheme.weights, tasks),
        _distance(found, mixture, tasks),
        float(apart @ tasks.gram @ apart),
        _expected_within(scheme, counts, tasks),
    )


def _distance(found: Float[Tensor, " P"], mixture: Float[np.ndarray, " T"], tasks: TaskGradients) -> float:
    """Squared distance of a gradient from a mixture of the tasks', unbiased."""
    centre = torch.from_numpy(mixture) @ tasks.mean
    return square(found - centre) - float(mixture**2 @ tasks.noise)


def _expected_within(scheme: BatchScheme, counts: Int[np.ndarray, " T"], tasks: TaskGradients) -> float:
    """Variance of the mean of a sample without repetition (whole passes do not vary), and that of the wording."""
    rest = counts % tasks.windows
    each = rest * (1 - rest / tasks.windows) * tasks.scatter + counts * tasks.wording
    return float(scheme.importance**2 @ each) / scheme.batch_size**2
