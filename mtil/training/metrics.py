"""Means overall and per task, kept as tensors until they are read.

Legend: B batch.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor


class TaskMeans:
    """Accumulates a value per example; reading it empties it.

    It is deliberately no module: its tensors are neither checkpointed nor averaged with the weights.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = list(tasks)
        self._sum = torch.zeros(len(tasks), dtype=torch.float64)
        self._count = torch.zeros(len(tasks), dtype=torch.float64)

    def add(self, value: Float[Tensor, " B"], task: Int[Tensor, " B"]) -> None:
        """Count the examples of a batch."""
        self._sum = self._sum.to(value.device).index_add(0, task, value.double())
        self._count = self._count.to(value.device).index_add(0, task, torch.ones_like(value, dtype=torch.float64))

    def compute(self, name: str, *, balanced: bool = False) -> dict[str, float]:
        """`name`: the mean over all examples; `name/TASK`: over a task's, where it has any.

        Args:
            name: Of the metric.
            balanced: Whether `name` is the mean of the tasks' means instead: long tasks weigh no more than short ones.
        """
        total, count = self._sum.tolist(), self._count.tolist()
        self._sum, self._count = torch.zeros_like(self._sum), torch.zeros_like(self._count)
        if not sum(count):
            return {}
        each = {f"{name}/{t}": s / n for t, s, n in zip(self._tasks, total, count, strict=True) if n}
        overall = sum(each.values()) / len(each) if balanced else sum(total) / sum(count)
        return {name: overall} | each
