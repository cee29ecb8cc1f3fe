"""Whether a task can be known by its z alone: how near the embeddings of tasks lie to each other.

Legend: N embeddings, T tasks, Z width of z.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

_DIGITS = 6  # of a cosine; what differs by less is alike
_TINY = 1e-12


@dataclass(frozen=True)
class Confusion:
    """A task, the one that its embeddings lie nearer to, and how many of them do."""

    task: str
    taken_for: str
    count: int


@dataclass(frozen=True)
class Retrieval:
    """Embeddings that were each taken for the task with the nearest prototype.

    Attributes:
        count: How many.
        correct: How many of them were taken for their own task.
        tasks: How many tasks they could be taken for.
        confusions: The others, the most frequent first.
    """

    count: int
    correct: int
    tasks: int
    confusions: Sequence[Confusion]

    @property
    def rate(self) -> float:
        """Share of correct ones."""
        return self.correct / self.count

    @property
    def chance(self) -> float:
        """The rate of a guess."""
        return 1 / self.tasks


def prototypes(z: Mapping[str, Float[Tensor, "_ Z"]]) -> dict[str, Float[Tensor, " Z"]]:
    """The mean embedding of each task."""
    return {task: each.mean(0) for task, each in z.items()}


def retrieve(z: Mapping[str, Float[Tensor, "_ Z"]], among: Mapping[str, Float[Tensor, " Z"]]) -> Retrieval:
    """Take each embedding for the task whose prototype has the highest cosine with it, and of several for the first.

    Args:
        z: Embeddings by task, one or more; each of these tasks has a prototype.
        among: Prototypes by task.
    """
    tasks = list(among)
    kernel = np.stack([_array(each) for each in among.values()])
    taken = [(task, tasks[found]) for task, each in z.items() for found in cosines(_array(each), kernel).argmax(1)]
    confused = Counter(pair for pair in taken if pair[0] != pair[1])
    return Retrieval(
        count=len(taken),
        correct=len(taken) - confused.total(),
        tasks=len(tasks),
        confusions=[Confusion(*pair, count) for pair, count in confused.most_common()],
    )


def cosines(z: Float[np.ndarray, "N Z"], others: Float[np.ndarray, "T Z"]) -> Float[np.ndarray, "N T"]:
    """The cosine between every two; 0 with a vector of zeros."""
    return np.round(_unit(z) @ _unit(others).T, _DIGITS)


def plane(z: Float[np.ndarray, "N Z"]) -> tuple[Float[np.ndarray, "N 2"], float]:
    """Embeddings in the plane of their first two principal components, and that plane's share of their variance.

    A component points to where its greatest coefficient is positive, so that the same embeddings look the same.
    """
    centred = z - z.mean(0)
    _, deviation, direction = np.linalg.svd(np.pad(centred, ((0, 2), (0, 2))), full_matrices=False)
    axes = direction[:2, : z.shape[1]]
    greatest = np.take_along_axis(axes, np.abs(axes).argmax(1, keepdims=True), 1)
    variance = np.square(deviation)
    return centred @ (axes * np.where(greatest < 0, -1, 1)).T, float(variance[:2].sum() / max(variance.sum(), _TINY))


def _unit(z: Float[np.ndarray, "N Z"]) -> Float[np.ndarray, "N Z"]:
    return z / np.maximum(np.linalg.norm(z, axis=1, keepdims=True), _TINY)


def _array(z: Float[Tensor, "..."]) -> Float[np.ndarray, "..."]:
    return z.double().numpy()
