"""Observations -> one vector.

Legend: B batch, H history, D dimensions of a key, F features.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationConfig, PointsConfig
from mtil.encoders.normalizer import Normalizer
from mtil.encoders.relative import RelativePositions
from mtil.types import FeatureSpec


class StateEncoder(nn.Module):
    """Normalises every state key and strings the history together, with the displacements between points, if any.

    Args:
        features: The keys, in order.
        history: Observations in a window.
        points: Which dimensions are positions.

    Raises:
        ConfigError: The points are not in the data.
    """

    def __init__(self, features: Sequence[FeatureSpec], *, history: int, points: PointsConfig | None = None) -> None:
        super().__init__()
        self._keys = [feature.key for feature in features]
        self.normalizers = nn.ModuleList(Normalizer(feature.shape[0]) for feature in features)
        self.relative = RelativePositions(points, features) if points else None
        hidden = {key: self.relative.hidden(key) if self.relative else () for key in self._keys}
        self._seen = {
            feature.key: [dim for dim in range(feature.shape[0]) if dim not in hidden[feature.key]]
            for feature in features
        }
        self.width = history * (sum(map(len, self._seen.values())) + (self.relative.width if self.relative else 0))

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        """Fix the normalisation of each key."""
        for key, normalizer in self._each():
            normalizer.fit(statistics[key], config.observations, config.floor)

    def forward(
        self, observations: Mapping[str, Float[Tensor, "B H _"]], valid: Mapping[str, Bool[Tensor, "B _"]]
    ) -> Float[Tensor, "B F"]:
        """Features of a window; `valid` tells which dimensions of a key are no padding."""
        encoded = [normalizer(observations[key], valid[key].unsqueeze(1)) for key, normalizer in self._each()]
        if self.relative is not None:
            encoded = [each[..., self._seen[key]] for each, key in zip(encoded, self._keys, strict=True)]
            encoded.append(self.relative(observations, valid))
        return torch.cat([features.flatten(1) for features in encoded], dim=1)

    def _each(self) -> list[tuple[str, Normalizer]]:
        return list(zip(self._keys, self.normalizers, strict=True))  # type: ignore[arg-type]
