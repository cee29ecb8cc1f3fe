"""A policy's task encoders, one for each kind of descriptor that it takes, all into the same space of z.

Legend: N descriptors, B batch, Z width of z.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from mtil.data.descriptors import DescriptorKind
from mtil.encoders.base import TaskEncoder


class TaskEncoders(nn.Module):
    """Encoders of several kinds, each example of a batch encoded by the one of its kind.

    Args:
        encoders: One or more, of different kinds and the same width.

    Attributes:
        kinds: Of descriptor, in order.
        width: Z.
    """

    def __init__(self, encoders: Sequence[TaskEncoder]) -> None:
        super().__init__()
        self.kinds: tuple[DescriptorKind, ...] = tuple(encoder.kind for encoder in encoders)
        self.width = encoders[0].width
        assert len(set(self.kinds)) == len(encoders), "a kind has one encoder"
        assert all(encoder.width == self.width for encoder in encoders), "all kinds share one space"
        self._encoders = nn.ModuleDict(dict(zip(self.kinds, encoders, strict=True)))

    def __getitem__(self, kind: DescriptorKind) -> TaskEncoder:
        return self._encoders[kind]  # type: ignore[return-value]

    def forward(
        self, prepared: Mapping[str, Shaped[Tensor, "B ..."]], condition: Int[Tensor, " B"]
    ) -> Float[Tensor, "B Z"]:
        """The embedding of each example.

        Args:
            prepared: By kind, a prepared descriptor of each example; those of another kind than its own are not read.
            condition: Position of its kind.
        """
        if len(self.kinds) == 1:
            return self[self.kinds[0]](prepared[self.kinds[0]])
        groups = [(condition == position).nonzero().squeeze(1) for position in range(len(self.kinds))]
        z = [self[kind](prepared[kind][rows]) for kind, rows in zip(self.kinds, groups, strict=True)]
        return torch.cat(z)[torch.cat(groups).argsort()]
