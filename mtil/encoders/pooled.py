"""Pretrained vision models as image encoders: their patches, pooled and modulated by z.

Legend: N images, h and w their size, D features of a patch, Z width of z, F features of an image.
"""

from abc import abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.config import PooledConfig
from mtil.encoders.film import FiLM
from mtil.encoders.image import FrozenEncoder
from mtil.encoders.pooling import AttentionPool, MeanPool
from mtil.encoders.tuning import TunedEncoder, tune
from mtil.encoders.tuning_config import FrozenTuning


class Preprocessing(NamedTuple):
    """What a model expects of images: pixels along each side, and mean and deviation of each colour."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class PooledEncoder(TunedEncoder, FrozenEncoder):
    """A vision model, its patches pooled and modulated by z.

    The whole image is resized to what the model was trained on, never cropped.

    Args:
        network: The model.
        expects: What it is given.
        config: How it is trained along, how it is pooled.
        condition: Z.

    Raises:
        EncoderError: The model has no such layers as LoRA is to adapt.
    """

    smallest = 1

    def __init__(self, network: nn.Module, expects: Preprocessing, config: PooledConfig, *, condition: int) -> None:
        super().__init__()
        self.network, self._expects = network, expects
        self.tuning, self.frozen = config.tuning, isinstance(config.tuning, FrozenTuning)
        example = torch.zeros(1, 3, expects.size, expects.size)
        tune(network, config.tuning, features=lambda: self.patches(example), what=config.model)
        with torch.no_grad():
            features = self.patches(example).shape[1]
        pool = AttentionPool if config.pooling == "attention" else MeanPool
        self.pool: AttentionPool | MeanPool = pool(features, config.width)
        self.film = FiLM(condition, config.width) if config.film else None
        self.width = config.width
        self.train()

    @abstractmethod
    def patches(self, images: Float[Tensor, "N 3 h w"]) -> Float[Tensor, "N D _ _"]:
        """Features of the patches of images that are as the model expects them, as a map."""

    def look(self, images: Float[Tensor, "N 3 h w"]) -> Float[Tensor, "N D _ _"]:
        scaled = as_expected(images, self._expects)
        with torch.set_grad_enabled(not self.frozen and torch.is_grad_enabled()):
            found = self.patches(scaled)
        return self.pool.kept(found)

    def read(self, looked: Float[Tensor, "N D _ _"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        pooled = self.pool(looked)
        return pooled if self.film is None else self.film(pooled, z)


def as_expected(images: Float[Tensor, "N 3 _ _"], expects: Preprocessing) -> Float[Tensor, "N 3 _ _"]:
    """Images in [0, 1] as a model expects them: the whole of each resized, never cropped, and normalised."""
    size = (expects.size, expects.size)
    resized = F.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    mean, std = (images.new_tensor(each).view(3, 1, 1) for each in (expects.mean, expects.std))
    return (resized - mean) / std


def as_map(tokens: Float[Tensor, "N _ D"], side: int) -> Float[Tensor, "N D side side"]:
    """A transformer's tokens of patches as a map, without those that it puts before them."""
    return tokens[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
