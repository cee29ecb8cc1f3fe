"""A policy's task encoders, one for each kind of descriptor that it takes, all into the same space of z.

Legend: N descriptors, B batch, Z width of z.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from mtil.data.kinds import DescriptorKind
from mtil.data.statistics import FeatureStatistics
from mtil.encoders.base import TaskEncoder
from mtil.encoders.config import NormalizationConfig


class TaskEncoders(nn.Module):
    """Encoders of several kinds, each example of a batch encoded by the one of its kind.

    Args:
        encoders: One or more, of different kinds and the same width.

    Attributes:
        kinds: Of descriptor, in order.
        width: Z.
    """

    def __init__(self, encoders: Sequence[TaskEncoder[Any]]) -> None:
        super().__init__()
        self.kinds: tuple[DescriptorKind, ...] = tuple(encoder.kind for encoder in encoders)
        self.width = encoders[0].width
        assert len(set(self.kinds)) == len(encoders), "a kind has one encoder"
        assert all(encoder.width == self.width for encoder in encoders), "all kinds share one space"
        self._encoders = nn.ModuleDict(dict(zip(self.kinds, encoders, strict=True)))

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        """Fix the normalisation of descriptors that are numbers."""
        for kind in self.kinds:
            self[kind].fit(statistics, config)

    def __getitem__(self, kind: DescriptorKind) -> TaskEncoder[Any]:
        return self._encoders[kind]  # type: ignore[return-value]

    def forward(
        self,
        prepared: Mapping[str, Shaped[Tensor, "_ ..."]],
        rows: Mapping[str, Int[Tensor, " B"]],
        condition: Int[Tensor, " B"],
    ) -> Float[Tensor, "B Z"]:
        """The embedding of each example.

        Args:
            prepared: By kind, prepared descriptors.
            rows: By kind, which of them is each example's; those of another kind than its own are not looked at.
            condition: Position of its kind.
        """
        if len(self.kinds) == 1:
            return self._embed(self.kinds[0], prepared, rows[self.kinds[0]])
        groups = [(condition == position).nonzero().squeeze(1) for position in range(len(self.kinds))]
        z = [self._embed(kind, prepared, rows[kind][group]) for kind, group in zip(self.kinds, groups, strict=True)]
        return torch.cat(z)[torch.cat(groups).argsort()]

    def _embed(
        self, kind: DescriptorKind, prepared: Mapping[str, Shaped[Tensor, "_ ..."]], rows: Int[Tensor, " B"]
    ) -> Float[Tensor, "B Z"]:
        """Embeddings by one encoder; of descriptors that cost much and that many examples share, each one once."""
        if not self[kind].shared:
            return self[kind](prepared[kind][rows])
        needed, row = rows.unique(return_inverse=True)
        if not len(needed):
            return self[kind](_any(prepared[kind]))[:0]
        return self[kind](prepared[kind][needed])[row]


def _any(prepared: Shaped[Tensor, "_ ..."]) -> Shaped[Tensor, "1 ..."]:
    """One descriptor, for an encoder that none needs: ranks wait for its gradients, and models cannot take none."""
    return prepared[:1] if len(prepared) else prepared.new_zeros(1, *prepared.shape[1:])
