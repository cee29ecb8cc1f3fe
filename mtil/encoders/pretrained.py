"""Vision models of Hugging Face's as image encoders.

Legend: N images, h and w their size, L tokens, D features of a token, Z width of z, F features of an image.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtil.encoders.config import PretrainedConfig
from mtil.encoders.film import FiLM
from mtil.encoders.image import FrozenEncoder
from mtil.encoders.pooling import AttentionPool, MeanPool
from mtil.encoders.tuning import TunedEncoder, tune
from mtil.encoders.tuning_config import FrozenTuning
from mtil.encoders.vision_model import ARCHITECTURE, architecture, as_expected, fetch, restore


class PretrainedEncoder(TunedEncoder, FrozenEncoder):
    """A vision model, its patches pooled and modulated by z.

    The whole image is resized to what the model was trained on, never cropped. The model's configuration is part of the
    state, as JSON in bytes, so that a policy is loaded without the model's files.

    Args:
        config: Which model, how it is trained along, how it is pooled.
        condition: Z.
        state: Of such an encoder, where it is to be loaded: the model is then not looked up.

    Raises:
        EncoderError: The model is missing, incomplete, or sees no images; or has no such layers as LoRA is to adapt.
        CheckpointError: The state is of another kind of encoder.
    """

    smallest = 1
    architecture: Tensor
    network: Any

    def __init__(self, config: PretrainedConfig, *, condition: int, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        fetched = fetch(config.model, use="an image encoder") if state is None else restore(state)
        self.network, self._expects = fetched
        self.tuning, self.frozen = config.tuning, isinstance(config.tuning, FrozenTuning)
        self.register_buffer(ARCHITECTURE, architecture(self.network, self._expects))
        example = torch.zeros(1, 3, self._expects.size, self._expects.size)
        tune(self.network, config.tuning, features=lambda: self._seen(example), what=config.model)
        features = _features(self.network)
        pool = AttentionPool if config.pooling == "attention" else MeanPool
        self.pool: AttentionPool | MeanPool = pool(features, config.width)
        self.film = FiLM(condition, config.width) if config.film else None
        self.width = config.width
        self.train()

    def look(self, images: Float[Tensor, "N 3 h w"]) -> Float[Tensor, "N D _ _"]:
        scaled = as_expected(images, self._expects)
        with torch.set_grad_enabled(not self.frozen and torch.is_grad_enabled()):
            found = self._seen(scaled)
        return self.pool.kept(_patches(found, self.network.config, self._expects.size))

    def _seen(self, images: Float[Tensor, "N 3 _ _"]) -> Float[Tensor, "N ..."]:
        return self.network(pixel_values=images).last_hidden_state

    def read(self, looked: Float[Tensor, "N D _ _"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        pooled = self.pool(looked)
        return pooled if self.film is None else self.film(pooled, z)


def _features(network: Any) -> int:
    """D. (Convolutional models list the sizes of their stages.)"""
    sizes = getattr(network.config, "hidden_sizes", None)
    return sizes[-1] if sizes else network.config.hidden_size


def _patches(found: Float[Tensor, "N ..."], config: Any, size: int) -> Float[Tensor, "N D _ _"]:
    """Features of the image's patches as a map, without the tokens that a transformer puts before them."""
    if found.ndim == 4:
        return found
    patch = getattr(config, "patch_size", None)
    side = size // patch if patch else math.isqrt(found.shape[1])
    return found[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
