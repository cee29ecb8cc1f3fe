"""The task as a position in the vocabulary.

Legend: N descriptors, B batch, Z width of z.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtil.encoders.base import TaskEncoder
from mtil.errors import EncoderError, unknown
from mtil.types import DatasetSpec


class OneHotEncoder(TaskEncoder[str]):
    """A learned vector a task (a one-hot vector times a matrix).

    Args:
        tasks: Names of the vocabulary, in order.
        width: Size of z.
    """

    kind = "one_hot"

    def __init__(self, tasks: Sequence[str], *, width: int) -> None:
        super().__init__()
        self.width = width
        self._tasks = list(tasks)
        self.embedding = nn.Embedding(len(tasks), width)

    def prepare(self, descriptors: Sequence[str]) -> Int[Tensor, " N"]:
        """Positions of tasks named.

        Raises:
            EncoderError: A name is not in the vocabulary.
        """
        for name in descriptors:
            if name not in self._tasks:
                raise EncoderError(unknown("task", name, self._tasks))
        return torch.tensor([self._tasks.index(name) for name in descriptors], device=self.embedding.weight.device)

    def inherit(self, state: Mapping[str, Tensor], before: DatasetSpec) -> dict[str, Tensor]:
        """Rows by name of their task."""
        weight = self.embedding.weight.detach().clone()
        for row, task in enumerate(self._tasks):
            if task in before.task_names:
                weight[row] = state["embedding.weight"][before.position(task)]
        return {**state, "embedding.weight": weight}

    def forward(self, prepared: Int[Tensor, " B"]) -> Float[Tensor, "B Z"]:
        return self.embedding(prepared)
