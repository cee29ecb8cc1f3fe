"""What a policy learns to tell of what it does not see: states that the demonstrations hold, from images of the scene.

Imitation alone tells a network little about where things are: a few hundred demonstrations hold few different scenes,
and many errors cost nothing at most steps. Where the demonstrations also hold the positions of objects and goals, as
those of a simulator do, telling them is a second task for the image encoders, in training alone (Jaderberg et al. 2017,
"Reinforcement learning with unsupervised auxiliary tasks", arXiv:1611.05397; Levine et al. 2016, arXiv:1504.00702,
train their encoder on positions).

Legend: B batch, H history, F features of a stream, D dimensions of a key, Z width of z.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationConfig
from mtil.encoders.normalizer import Normalizer
from mtil.policies.config import ReadoutConfig
from mtil.types import FeatureSpec


class StateReadout(nn.Module):
    """Tells the present states from the present features of images, and from z, which says what objects there are.

    Args:
        config: Its size.
        targets: What is told, in order.
        streams: F of each stream of an image.
        condition: Z.
        embodiments: How many there are that have statistics of their own; 0: one for all.
    """

    def __init__(
        self,
        config: ReadoutConfig,
        targets: Sequence[FeatureSpec],
        *,
        streams: Sequence[int],
        condition: int,
        embodiments: int = 0,
    ) -> None:
        super().__init__()
        self._sizes = {target.key: target.shape[0] for target in targets}
        self.normalizers = nn.ModuleList(Normalizer(size, embodiments) for size in self._sizes.values())
        self.layers = nn.Sequential(
            nn.Linear(sum(streams) + condition, config.width),
            nn.GELU(),
            nn.Linear(config.width, sum(self._sizes.values())),
        )

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        """Fix the units in which errors count."""
        for key, normalizer in self._each():
            normalizer.fit(statistics[key], config.observations, config.floor)

    def error(
        self,
        streams: Sequence[Float[Tensor, "B H _"]],
        z: Float[Tensor, "B Z"],
        targets: Mapping[str, Float[Tensor, "B _"]],
        valid: Mapping[str, Bool[Tensor, "B _"]],
        embodiment: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Squared error, in normalised units, summed over all dimensions that an example's task has."""
        told = self.layers(torch.cat([*(stream[:, -1] for stream in streams), z], dim=1)).float()
        units = self._each()
        wanted = torch.cat([normalizer(targets[key], embodiment=embodiment) for key, normalizer in units], dim=1)
        mask = torch.cat([valid[key] for key in self._sizes], dim=1)
        return (told - wanted).square().where(mask, 0.0).sum(1)

    def _each(self) -> list[tuple[str, Normalizer]]:
        return list(zip(self._sizes, self.normalizers, strict=True))  # type: ignore[arg-type]
