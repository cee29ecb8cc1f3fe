"""Vision models of Hugging Face's as image encoders.

Legend: N images, h and w their size, D features of a patch.
"""

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from mtil.encoders.config import PretrainedConfig
from mtil.encoders.pooled import PooledEncoder, as_map
from mtil.encoders.vision_model import ARCHITECTURE, architecture, fetch, restore


class PretrainedEncoder(PooledEncoder):
    """A vision model, its patches pooled and modulated by z.

    The model's configuration is part of the state, as JSON in bytes, so that a policy is loaded without the model's
    files.

    Args:
        config: Which model, how it is trained along, how it is pooled.
        condition: Z.
        state: Of such an encoder, where it is to be loaded: the model is then not looked up.

    Raises:
        EncoderError: The model is missing, incomplete, or sees no images; or has no such layers as LoRA is to adapt.
        CheckpointError: The state is of another kind of encoder.
    """

    architecture: Tensor
    network: Any

    def __init__(self, config: PretrainedConfig, *, condition: int, state: Mapping[str, Tensor] | None = None) -> None:
        network, expects = fetch(config.model, use="an image encoder") if state is None else restore(state)
        written = architecture(network, expects)
        super().__init__(network, expects, config, condition=condition)
        self.register_buffer(ARCHITECTURE, written)

    def patches(self, images: Float[Tensor, "N 3 h w"]) -> Float[Tensor, "N D _ _"]:
        found = self.network(pixel_values=images).last_hidden_state
        if found.ndim == 4:
            return found
        patch = getattr(self.network.config, "patch_size", None)
        return as_map(found, images.shape[-1] // patch if patch else math.isqrt(found.shape[1]))
