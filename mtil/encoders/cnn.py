"""A small convolutional network for images of some 64 to 128 pixels, trained from scratch, on few CPU cores if need be.

Legend: N images, h and w the size of a map, C channels, Z width of z, F features.
"""

from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.config import CNNConfig
from mtil.encoders.film import FiLM
from mtil.encoders.image import ImageEncoder
from mtil.encoders.pooling import Keypoints

_STEM = 4  # pixels to a cell of the first stage
_GROUP = 16  # channels normalised together


class CNNEncoder(ImageEncoder):
    """Keypoints of a few residual stages, each modulated by z.

    Most of the work of a convolutional network is done where maps are large; the stem makes them a quarter of the image
    in one step. Its cells overlap, and the finest keypoints are still as fine as they are.

    Args:
        config: Channels, keypoints.
        condition: Z.
    """

    smallest = 16

    def __init__(self, config: CNNConfig, *, condition: int) -> None:
        super().__init__()
        channels = config.channels
        self.stem = nn.Conv2d(3, channels[0], 2 * _STEM, stride=_STEM, padding=_STEM // 2)
        self.stages = nn.ModuleList(
            _Stage(before, after, stride=2 if i else 1, norm=config.norm, condition=condition if config.film else None)
            for i, (before, after) in enumerate(zip((channels[0], *channels), channels, strict=False))
        )
        self._first = 1 if config.resolution > _STEM and len(channels) > 1 else 0
        self.keypoints = Keypoints(channels[self._first :], keypoints=config.keypoints, strength=config.strength)
        self.width = self.keypoints.width

    def forward(self, images: Float[Tensor, "N 3 h w"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        hidden, maps = F.relu(self.stem(images - 0.5)), []
        for stage in self.stages:
            hidden = stage(hidden, z)
            maps.append(hidden)
        return self.keypoints(maps[self._first :])


class _Stage(nn.Module):
    """A convolution to the stage's size, where that is another, and `x + relu(film(norm(conv(x)), z))`."""

    def __init__(
        self, before: int, after: int, *, stride: int, norm: Literal["group", "none"], condition: int | None
    ) -> None:
        super().__init__()
        same = stride == 1 and before == after
        self.resize = None if same else nn.Conv2d(before, after, 3, stride=stride, padding=1)
        self.convolution = nn.Conv2d(after, after, 3, padding=1)
        self.norm = nn.GroupNorm(after // _GROUP, after) if norm == "group" else nn.Identity()
        self.film = None if condition is None else FiLM(condition, after)

    def forward(self, maps: Float[Tensor, "N _ _ _"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N C h w"]:
        if self.resize is not None:
            maps = F.relu(self.resize(maps))
        hidden = self.norm(self.convolution(maps))
        if self.film is not None:
            hidden = self.film(hidden, z)
        return maps + F.relu(hidden)
