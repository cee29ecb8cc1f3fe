"""Observations -> streams of features, each a sequence of vectors over the time steps of a window.

Legend: B batch, H history, D dimensions of a key, S features of the state, F features of a stream, Z width of z.
An example is of one embodiment, where a policy learns from several.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor, nn

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import ImageEncoderConfig, NormalizationConfig, PointsConfig
from mtil.encoders.normalizer import Normalizer
from mtil.encoders.relative import RelativePositions
from mtil.encoders.vision import CameraEncoders, part_of
from mtil.types import FeatureSpec


class ObservationEncoder(nn.Module):
    """The state as one stream, and every image key as one.

    Args:
        features: The keys, in order.
        points: Which dimensions are positions.
        images: How images are encoded; nothing where there are none.
        condition: Z.
        embodiments: How many there are that have statistics of their own; 0: one for all.
        state: Of such an encoder, where it is to be loaded: nothing pretrained is then looked up.

    Attributes:
        widths: F of each stream.
        images: How many of the streams, the last ones, are of images.

    Raises:
        ConfigError: The points are not in the data, or images have a size that the encoder does not take.
        EncoderError: Pretrained weights are missing or of another network.
    """

    def __init__(
        self,
        features: Sequence[FeatureSpec],
        *,
        points: PointsConfig | None = None,
        images: ImageEncoderConfig,
        condition: int,
        embodiments: int = 0,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        vectors = [feature for feature in features if feature.kind == "state"]
        pictures = [feature for feature in features if feature.kind == "image"]
        self.state = StateEncoder(vectors, points=points, embodiments=embodiments) if vectors or points else None
        stored = part_of(state, "cameras.")
        self.cameras = CameraEncoders(images, pictures, condition=condition, state=stored) if pictures else None
        self.images = len(pictures)
        self.widths = [*([self.state.width] if self.state else []), *(self.cameras.widths if self.cameras else [])]

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        """Fix the normalisation of each state key."""
        if self.state is not None:
            self.state.fit(statistics, config)

    def forward(
        self,
        observations: Mapping[str, Shaped[Tensor, "B H ..."]],
        valid: Mapping[str, Bool[Tensor, "B _"]],
        z: Float[Tensor, "B Z"],
        embodiment: Int[Tensor, " B"] | None = None,
    ) -> list[Float[Tensor, "B H _"]]:
        """The streams of a window; `valid` tells which dimensions of a state key are no padding."""
        streams = [] if self.state is None else [self.state(observations, valid, embodiment)]
        return streams if self.cameras is None else [*streams, *self.cameras(observations, z)]


class StateEncoder(nn.Module):
    """Normalises every state key and strings the keys together, with the displacements between points, if any.

    Args:
        features: The keys, in order.
        points: Which dimensions are positions.
        embodiments: How many there are that have statistics of their own; 0: one for all.

    Attributes:
        width: S.

    Raises:
        ConfigError: The points are not in the data.
    """

    def __init__(
        self, features: Sequence[FeatureSpec], *, points: PointsConfig | None = None, embodiments: int = 0
    ) -> None:
        super().__init__()
        self._keys = [feature.key for feature in features]
        self.normalizers = nn.ModuleList(Normalizer(feature.shape[0], embodiments) for feature in features)
        self.relative = RelativePositions(points, features) if points else None
        hidden = {key: self.relative.hidden(key) if self.relative else () for key in self._keys}
        self._seen = {
            feature.key: [dim for dim in range(feature.shape[0]) if dim not in hidden[feature.key]]
            for feature in features
        }
        self.width = sum(map(len, self._seen.values())) + (self.relative.width if self.relative else 0)

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        """Fix the normalisation of each key."""
        for key, normalizer in self._each():
            normalizer.fit(statistics[key], config.observations, config.floor)

    def forward(
        self,
        observations: Mapping[str, Shaped[Tensor, "B H ..."]],
        valid: Mapping[str, Bool[Tensor, "B _"]],
        embodiment: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B H S"]:
        """Features of a window; `valid` tells which dimensions of a key are no padding."""
        encoded = [
            normalizer(observations[key], valid[key].unsqueeze(1), embodiment) for key, normalizer in self._each()
        ]
        if self.relative is not None:
            encoded = [each[..., self._seen[key]] for each, key in zip(encoded, self._keys, strict=True)]
            encoded.append(self.relative(observations, valid))
        return torch.cat(encoded, dim=-1)

    def _each(self) -> list[tuple[str, Normalizer]]:
        return list(zip(self._keys, self.normalizers, strict=True))  # type: ignore[arg-type]
