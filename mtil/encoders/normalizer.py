"""Normalisation as part of the policy: an affine map of each dimension, fixed by the training split.

Legend: B batch, D dimensions, M embodiments, where a policy learns from several.
"""

from typing import assert_never

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationMode


class Normalizer(nn.Module):
    """`(x - shift) / scale`, with its inverse; the identity until it is fitted or loaded.

    Args:
        width: D.
        embodiments: M, each with a shift and scale of its own; 0: one for all.

    Attributes:
        shift: (D,), or (M, D).
        scale: As `shift`.
    """

    shift: Float[Tensor, "*M D"]
    scale: Float[Tensor, "*M D"]

    def __init__(self, width: int, embodiments: int = 0) -> None:
        super().__init__()
        self._mode: NormalizationMode = "none"
        shape = (embodiments, width) if embodiments else (width,)
        self.register_buffer("shift", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def fit(self, statistics: FeatureStatistics, mode: NormalizationMode, floor: float) -> None:
        """Take shift and scale from statistics, of each embodiment if there are several; no scale is smaller than the
        floor.
        """
        match mode:
            case "mean_std":
                shift, scale = statistics.mean, statistics.std
            case "min_max":
                shift, scale = _centre(statistics.low, statistics.high)
            case "quantile":
                shift, scale = _centre(statistics.q01, statistics.q99)
            case "none":
                shift, scale = torch.zeros_like(statistics.mean), torch.ones_like(statistics.mean)
            case _:
                assert_never(mode)
        self._mode = mode
        self.shift.copy_(shift)
        self.scale.copy_(scale.clamp(min=floor))

    def extend(self, shift: Float[Tensor, "*M D"], scale: Float[Tensor, "*M D"]) -> None:
        """Take in other data, which weigh the same: those that shift and scale were once fitted to in the same way."""
        match self._mode:
            case "mean_std":
                apart = (self.shift - shift) / 2
                both = (shift + self.shift) / 2, ((scale**2 + self.scale**2) / 2 + apart**2).sqrt()
            case "min_max" | "quantile":
                low = torch.minimum(shift - scale, self.shift - self.scale)
                high = torch.maximum(shift + scale, self.shift + self.scale)
                both = _centre(low, high)
            case "none":
                both = shift, scale
            case _:
                assert_never(self._mode)
        self.shift.copy_(both[0])
        self.scale.copy_(both[1])

    def forward(
        self,
        raw: Float[Tensor, "*batch D"],
        valid: Bool[Tensor, "*#batch D"] | None = None,
        embodiment: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "*batch D"]:
        """Normalised values, zero where a dimension is padding; of several embodiments, those of the batch are told."""
        normalized = (raw - self._of(self.shift, raw, embodiment)) / self._of(self.scale, raw, embodiment)
        return normalized if valid is None else normalized.masked_fill(~valid, 0.0)

    def inverse(
        self, normalized: Float[Tensor, "*batch D"], embodiment: Int[Tensor, " B"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """Raw values."""
        return normalized * self._of(self.scale, normalized, embodiment) + self._of(self.shift, normalized, embodiment)

    def _of(
        self, values: Float[Tensor, "*M D"], like: Tensor, embodiment: Int[Tensor, " B"] | None
    ) -> Float[Tensor, "*_ D"]:
        """Shift or scale of each example, as they are broadcast."""
        if values.dim() == 1:
            return values
        assert embodiment is not None, "an example is of one of several embodiments"
        return values[embodiment].unflatten(0, (len(embodiment), *[1] * (like.dim() - 2)))


def _centre(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    return (low + high) / 2, (high - low) / 2
