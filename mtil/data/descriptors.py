"""Which descriptors tell which task: the rows that examples of a batch refer to.

Legend: B batch.
"""

from collections.abc import Sequence
from typing import assert_never

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtil.data.kinds import WrittenKind
from mtil.types import DatasetSpec


class DescriptorTable:
    """All descriptors of one kind, those of a task side by side.

    Args:
        by_task: For each task of the vocabulary, its descriptors; none where it cannot be told in this kind.

    Attributes:
        rows: The descriptors of all tasks in one list.
        count: How many each task has.
        task: Position of each row's task.
    """

    def __init__(self, by_task: Sequence[Sequence[str]]) -> None:
        self.rows = [descriptor for descriptors in by_task for descriptor in descriptors]
        self.count = np.array([len(descriptors) for descriptors in by_task])
        self.task = np.repeat(np.arange(len(self.count)), self.count)
        self._first = self.count.cumsum() - self.count

    def draw(self, task: Int[Tensor, " B"], share: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """For each example, the row of one of its task's descriptors, uniformly if `share` is uniform over [0, 1); -1
        where the task has none.
        """
        position = task.numpy()  # NumPy: several times faster than as many operations of PyTorch's
        count = self.count.take(position)
        nth = (share.numpy() * count).astype(np.int64)
        return torch.from_numpy(np.where(count > 0, self._first.take(position) + nth, -1))


def descriptor_table(kind: WrittenKind, spec: DatasetSpec) -> DescriptorTable:
    """The table of a kind: names for `one_hot`, instructions for `language`, nothing for `none`."""
    match kind:
        case "one_hot":
            return DescriptorTable([(task.name,) for task in spec.tasks])
        case "language":
            return DescriptorTable([task.instructions for task in spec.tasks])
        case "none":
            return DescriptorTable([("",) for _ in spec.tasks])
        case _:
            assert_never(kind)
