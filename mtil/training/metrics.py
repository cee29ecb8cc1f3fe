"""Means overall and per task, kept as tensors until they are read; and the names they are logged by.

Legend: B batch.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtil.data.kinds import DescriptorKind
from mtil.training.controls import validation_controls


class TaskMeans:
    """Accumulates a value per example; reading it empties it.

    It is deliberately no module: its tensor is neither checkpointed nor averaged with the weights.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        self._tasks = list(tasks)
        self.state = torch.zeros(2, len(tasks), dtype=torch.float64)
        """Per task, the sum of the values and their number."""

    def add(self, value: Float[Tensor, " B"], task: Int[Tensor, " B"]) -> None:
        """Count the examples of a batch."""
        each = torch.stack([value.double(), torch.ones_like(value, dtype=torch.float64)])
        self.state = self.state.to(value.device).index_add(1, task, each)

    def compute(
        self, name: str, *, balanced: bool = False, total: Callable[[Tensor], Tensor] = lambda state: state
    ) -> dict[str, float]:
        """`name`: the mean over all examples; `name/TASK`: over a task's, where it has any.

        Args:
            name: Of the metric.
            balanced: Whether `name` is the mean of the tasks' means instead: long tasks weigh no more than short ones.
            total: Adds up the states of all ranks.
        """
        values, counts = total(self.state).tolist()
        self.state = torch.zeros_like(self.state)
        if not sum(counts):
            return {}
        each = {f"{name}/{t}": v / n for t, v, n in zip(self._tasks, values, counts, strict=True) if n}
        overall = sum(each.values()) / len(each) if balanced else sum(values) / sum(counts)
        return {name: overall} | each


def validation_names(kinds: Sequence[DescriptorKind], tasks: int) -> dict[str | None, str]:
    """How metrics of the validation begin: with each example told in its own kind, in each where there are several, and
    under each control.

    Args:
        kinds: Of descriptor that the policy takes.
        tasks: Their number.

    Returns:
        By kind or control, None standing for each example's own kind.
    """
    several = kinds if len(kinds) > 1 else ()
    return {None: "val/"} | {told: f"val/{told}/" for told in (*several, *validation_controls(kinds, tasks))}
