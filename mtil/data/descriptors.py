"""Which descriptors tell which task: the rows that examples of a batch refer to.

Legend: B batch.
"""

from collections.abc import Sequence
from typing import Literal, assert_never

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtil.errors import DatasetError
from mtil.types import DatasetSpec

DescriptorKind = Literal["one_hot", "language", "none"]


class DescriptorTable:
    """All descriptors of one kind, those of a task side by side.

    Args:
        by_task: For each task of the vocabulary, its descriptors; at least one.

    Attributes:
        rows: The descriptors of all tasks in one list.
    """

    def __init__(self, by_task: Sequence[Sequence[str]]) -> None:
        self.rows = [descriptor for descriptors in by_task for descriptor in descriptors]
        self._count = np.array([len(descriptors) for descriptors in by_task])
        self._first = self._count.cumsum() - self._count

    def draw(self, task: Int[Tensor, " B"], share: Float[Tensor, " B"]) -> Int[Tensor, " B"]:
        """For each example, the row of one of its task's descriptors, uniformly if `share` is uniform over [0, 1)."""
        position = task.numpy()  # NumPy: several times faster than as many operations of PyTorch's
        nth = (share.numpy() * self._count.take(position)).astype(np.int64)
        return torch.from_numpy(self._first.take(position) + nth)


def descriptor_table(kind: DescriptorKind, spec: DatasetSpec) -> DescriptorTable:
    """The table of a kind: names for `one_hot`, instructions for `language`, nothing for `none`.

    Raises:
        DatasetError: A task cannot be told in this kind.
    """
    match kind:
        case "one_hot":
            return DescriptorTable([(task.name,) for task in spec.tasks])
        case "language":
            silent = [task.name for task in spec.tasks if not task.instructions]
            if silent:
                raise DatasetError(
                    f"tasks without an instruction: {', '.join(silent)}; conditioning on language needs "
                    "`language_instruction` in problem_info of each file (or choose policy.task_encoder.kind=one_hot)"
                )
            return DescriptorTable([task.instructions for task in spec.tasks])
        case "none":
            return DescriptorTable([("",) for _ in spec.tasks])
        case _:
            assert_never(kind)
