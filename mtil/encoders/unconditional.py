"""The task untold: the control for every encoder that tells it.

Legend: N descriptors, B batch, Z width of z.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from mtil.encoders.base import TaskEncoder


class UnconditionalEncoder(TaskEncoder[str]):
    """One learned vector, whatever the task: what a policy then does, it does by what it sees alone.

    Args:
        width: Size of z.
    """

    kind = "none"

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = width
        self.embedding = nn.Embedding(1, width)

    def prepare(self, descriptors: Sequence[str]) -> Int[Tensor, " N"]:
        """The only row there is, for each descriptor; what it says is not looked at."""
        return torch.zeros(len(descriptors), dtype=torch.long, device=self.embedding.weight.device)

    def forward(self, prepared: Int[Tensor, " B"]) -> Float[Tensor, "B Z"]:
        return self.embedding(prepared)
