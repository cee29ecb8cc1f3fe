"""An image encoder as a part of a task encoder: no z is there yet that could modulate it.

Legend: N images, F features, V what a frozen network makes of an image, h x w pixels.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from mtil.encoders.config import ImageEncoderConfig
from mtil.encoders.image import FrozenEncoder, ImageEncoder
from mtil.encoders.vision import build_image_encoder
from mtil.errors import EncoderError
from mtil.types import FeatureSpec

_NO_Z = 1  # width of the z that the backbone is given, and does not look at
_TOGETHER = 32  # images that are looked at at once


def build_backbone(
    config: ImageEncoderConfig, picture: FeatureSpec, *, state: Mapping[str, Tensor] | None = None
) -> ImageEncoder:
    """The encoder of such pictures.

    Raises:
        EncoderError: They are too small for it, or pretrained weights are missing or of another network.
    """
    backbone = build_image_encoder(config, condition=_NO_Z, state=state)
    if min(picture.shape[:2]) < backbone.smallest:
        size = "x".join(map(str, picture.shape[:2]))
        expected = f"expected frames of {backbone.smallest} pixels and more"
        raise EncoderError(f"policy.task_encoder.backbone: {expected}; {picture.key}, scaled as data say, has {size}")
    return backbone


def see(backbone: ImageEncoder, images: UInt8[Tensor, "N h w 3"], dtype: torch.dtype) -> Float[Tensor, "N F"]:
    """Features of images as they are in a batch."""
    pixels = _unit(images, dtype)
    return backbone(pixels, pixels.new_zeros(len(pixels), _NO_Z)).to(dtype)


@torch.no_grad()
def look(backbone: FrozenEncoder, images: UInt8[Tensor, "N h w 3"], dtype: torch.dtype) -> Float[Tensor, "N *V"]:
    """What the frozen part of a backbone makes of images; computed for a few at a time."""
    return torch.cat([backbone.look(_unit(few, dtype)) for few in images.split(_TOGETHER)]).to(dtype)


def read(backbone: FrozenEncoder, looked: Float[Tensor, "N *V"], dtype: torch.dtype) -> Float[Tensor, "N F"]:
    """Features, of what the frozen part has made of images."""
    return backbone.read(looked, looked.new_zeros(len(looked), _NO_Z)).to(dtype)


def _unit(images: UInt8[Tensor, "N h w 3"], dtype: torch.dtype) -> Float[Tensor, "N 3 h w"]:
    return images.permute(0, 3, 1, 2).to(dtype) / 255
