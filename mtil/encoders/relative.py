"""Where points lie from each other: what a hand must know of an object does not depend on where both are.

Legend: B batch, H history, D dimensions of a key, R relative features.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtil.encoders.config import PointsConfig
from mtil.errors import ConfigError, unknown
from mtil.types import FeatureSpec

_AXES = 3


class RelativePositions(nn.Module):
    """The displacement between every two points of an observation, squashed at several scales by `tanh(d / scale)`.

    One scale alone either drowns the last centimetre, where precise tasks are decided, or saturates far from the goal.

    Args:
        config: Which dimensions are positions.
        features: The state keys.

    Attributes:
        width: R.

    Raises:
        ConfigError: A key does not exist, or is too short for its points.
    """

    def __init__(self, config: PointsConfig, features: Sequence[FeatureSpec]) -> None:
        super().__init__()
        sizes = {feature.key: feature.shape[0] for feature in features}
        for key, starts in config.starts.items():
            _check(key, starts, sizes)
        self._starts = config.starts
        self._scales, self._absolute = config.scales, config.absolute
        pairs = len(list(combinations(self._points(), 2)))
        self.width = pairs * _AXES * len(config.scales)

    def forward(
        self, observations: Mapping[str, Float[Tensor, "B H _"]], valid: Mapping[str, Bool[Tensor, "B _"]]
    ) -> Float[Tensor, "B H R"]:
        """Relative features; zero where a point is padding."""
        points = [observations[key][..., start : start + _AXES] for key, start in self._points()]
        known = [valid[key][:, None, start : start + _AXES] for key, start in self._points()]
        pairs = list(combinations(range(len(points)), 2))
        apart = torch.cat([points[i] - points[j] for i, j in pairs], dim=-1)
        both = torch.cat([known[i] & known[j] for i, j in pairs], dim=-1)
        apart = apart.masked_fill(~both, 0.0)
        return torch.cat([torch.tanh(apart / scale) for scale in self._scales], dim=-1)

    def hidden(self, key: str) -> list[int]:
        """The dimensions of a key that the policy sees in no other way than relative to each other."""
        if self._absolute:
            return []
        return [start + axis for start in self._starts.get(key, ()) for axis in range(_AXES)]

    def _points(self) -> list[tuple[str, int]]:
        return [(key, start) for key, starts in self._starts.items() for start in starts]


def _check(key: str, starts: Sequence[int], sizes: Mapping[str, int]) -> None:
    if key not in sizes:
        raise ConfigError(f"policy.points.starts: {unknown('state key', key, sizes)}")
    last = max(starts) + _AXES
    if last > sizes[key]:
        raise ConfigError(
            f"policy.points.starts: {key}: a point at {max(starts)} needs {last} dimensions; the data hold {sizes[key]}"
        )
