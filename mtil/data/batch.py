"""What the loader hands to the policy.

Legend: B batch, F frames of a clip, G goals, H history, K chunk, A action dimensions, D state dimensions, h x w pixels.
"""

from dataclasses import dataclass, field, fields, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """A batch of windows, gathered in one read.

    Attributes:
        observations: By key, the present one last along H: states float (B, H, D), images uint8 (B, H, h, w, 3).
        observation_mask: By key of a state, the dimensions that the example's task has; the others are padding.
        history_mask: False before the episode began (the first observation is repeated there).
        actions: As the expert took them, raw.
        action_mask: False where time or dimension is padding.
        task: Position of the task in the vocabulary.
        weight: Of the example in the loss, `sum(weight * nll)`; the mean over the ranks is that of the global batch.
        descriptors: By kind, the row of the descriptor in that kind's table; -1 where the task has none.
        condition: Position, among these kinds, of the one that the example is conditioned on.
        targets: By key, the present states that the policy does not see, but learns to tell.
        target_mask: By key, their dimensions that the example's task has.
        clips: Frames of clips that show tasks, if any do, or what a frozen network makes of them: descriptors of kind
            "video" are rows of these.
        goals: Goals, if any are given: descriptors of kind "goal" are rows of these. States (G, D), NaN where a task
            has no such dimension, or images uint8 (G, h, w, 3).
    """

    observations: dict[str, Shaped[Tensor, "B H ..."]]
    observation_mask: dict[str, Bool[Tensor, "B D"]]
    history_mask: Bool[Tensor, "B H"]
    actions: Float[Tensor, "B K A"]
    action_mask: Bool[Tensor, "B K A"]
    task: Int[Tensor, " B"]
    weight: Float[Tensor, " B"]
    descriptors: dict[str, Int[Tensor, " B"]]
    condition: Int[Tensor, " B"]
    targets: dict[str, Float[Tensor, "B _"]] = field(default_factory=dict)
    target_mask: dict[str, Bool[Tensor, "B _"]] = field(default_factory=dict)
    clips: Shaped[Tensor, "_ F ..."] | None = None
    goals: Shaped[Tensor, "G ..."] | None = None

    def __len__(self) -> int:
        return len(self.task)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Batch":
        """The batch on another device."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory, from which copies to a GPU need not block."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Any) -> "Batch":
        def apply(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: function(tensor) for key, tensor in value.items()}
            return None if value is None else function(value)

        return replace(self, **{each.name: apply(getattr(self, each.name)) for each in fields(self)})
