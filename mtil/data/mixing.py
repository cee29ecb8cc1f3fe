"""Which kind of descriptor each example of a batch is conditioned on.

Legend: B batch, T tasks, N kinds.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtil.data.kinds import NEEDS, DescriptorKind
from mtil.errors import DatasetError

_TINY = 1e-300  # in place of no share at all
_GOLDEN_SECTION = (5**0.5 - 1) / 2  # its multiples spread evenly over [0, 1), in any stretch of them


class KindMix:
    """Kinds in fixed shares, among the examples of each task as in the whole batch.

    A batch holds a task's examples side by side, so what is spread over any stretch of places is spread over each task:
    after Weyl, the n-th example takes the kind in whose share `offset + n * golden section` lies, modulo 1.

    Args:
        weights: Relative share of each kind, in the order that `draw` numbers them by.
        counts: Descriptors of each kind that each task has. One that lacks a kind is served by those that it has, in
            their proportion.
        tasks: Names, in order.
        present: Which tasks have examples, if not all; the others need not be told.

    Attributes:
        shares: Of each kind among a task's examples; rows sum to one, or to zero where nothing tells the task.

    Raises:
        DatasetError: A task has no descriptor of any kind, or a kind none of any task.
    """

    def __init__(
        self,
        weights: Mapping[DescriptorKind, float],
        counts: Mapping[DescriptorKind, Int[np.ndarray, " T"]],
        tasks: list[str],
        *,
        present: Bool[np.ndarray, " T"] | None = None,
    ) -> None:
        present = np.full(len(tasks), True) if present is None else present
        known = np.stack([counts[kind] > 0 for kind in weights], axis=1)
        wanted = known * np.array([float(weight) for weight in weights.values()])
        for kind in weights:
            if present.any() and not counts[kind][present].any():
                raise DatasetError(f"no task can be told by {kind}; each needs {NEEDS[kind]}")
        untold = [tasks[position] for position in np.flatnonzero(~known.any(1) & present)]
        if untold:
            needs = "; ".join(f"{kind} needs {NEEDS[kind]}" for kind in weights)
            raise DatasetError(f"tasks that {' or '.join(weights)} cannot tell: {', '.join(untold)}; {needs}")
        self.shares: Float[np.ndarray, "T N"] = wanted / np.maximum(wanted.sum(1, keepdims=True), _TINY)
        self._below = self.shares.cumsum(1)[:, :-1]

    def draw(self, task: Int[Tensor, " B"], places: Int[Tensor, " B"], offset: float) -> Int[Tensor, " B"]:
        """The kind of each example, by its task and its place in the global batch, given an offset in [0, 1)."""
        if not self._below.shape[1]:
            return torch.zeros_like(task)
        at = (offset + places.numpy() * _GOLDEN_SECTION) % 1
        return torch.from_numpy((at[:, None] >= self._below.take(task.numpy(), axis=0)).sum(1))
