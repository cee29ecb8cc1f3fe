"""Normalisation as part of the policy: an affine map of each dimension, fixed by the training split.

Legend: D dimensions.
"""

from typing import assert_never

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationMode


class Normalizer(nn.Module):
    """`(x - shift) / scale`, with its inverse; the identity until it is fitted or loaded."""

    shift: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self._mode: NormalizationMode = "none"
        self.register_buffer("shift", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def fit(self, statistics: FeatureStatistics, mode: NormalizationMode, floor: float) -> None:
        """Take shift and scale from statistics; no scale is smaller than the floor."""
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

    def extend(self, shift: Float[Tensor, " D"], scale: Float[Tensor, " D"]) -> None:
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
        self, raw: Float[Tensor, "*batch D"], valid: Bool[Tensor, "*#batch D"] | None = None
    ) -> Float[Tensor, "*batch D"]:
        """Normalised values; zero where a dimension is padding."""
        normalized = (raw - self.shift) / self.scale
        return normalized if valid is None else normalized.masked_fill(~valid, 0.0)

    def inverse(self, normalized: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """Raw values."""
        return normalized * self.scale + self.shift


def _centre(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    return (low + high) / 2, (high - low) / 2
