"""Image augmentation, of a whole batch at once on its device.

torchvision's transforms draw once a call, and its kernels take one number for all images; here, every example has its
own. Colours change by an affine map, so that brightness, contrast, saturation and hue cost one pass together.

Legend: B batch, H history, h and w the size of an image.
"""

import math
from dataclasses import replace

import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from mtil.data.batch import Batch
from mtil.data.config import AugmentationConfig, DataConfig

# NTSC's luma and chroma (as matplotlib and scikit-image have them): the hue is an angle in the plane of the latter two.
_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.59590059, -0.27455667, -0.32134392], [0.21153661, -0.52273617, 0.31119955]]
)


def augment(batch: Batch, config: DataConfig, generator: torch.Generator) -> Batch:
    """The batch with its images changed: every example and camera by a draw of its own, the frames of a window alike;
    and so every clip.

    Args:
        batch: Its images are uint8 of shape `(B, H, h, w, 3)`, its clips, if they are still such, `(U, F, h, w, 3)`;
            all else stays.
        config: How much.
        generator: On the CPU, so that a GPU draws the same.

    Returns:
        Images of values from 0 to 255: uint8, or float32 where colours change.
    """
    if config.augmentation is not None:
        changed = {
            key: _augmented(value, config.augmentation, generator) if value.dtype == torch.uint8 else value
            for key, value in batch.observations.items()
        }
        batch = replace(batch, observations=changed)
    if config.clips is not None and batch.clips is not None and batch.clips.dtype == torch.uint8:
        batch = replace(batch, clips=_moved(batch.clips, config.clips.shift, generator))
    return batch


def _moved(images: UInt8[Tensor, "B H h w 3"], most: int, generator: torch.Generator) -> UInt8[Tensor, "B H h w 3"]:
    if not most:
        return images
    offsets = torch.randint(2 * most + 1, (2, len(images)), generator=generator) - most
    return shifted(images, offsets.to(images.device), most=most)


def _augmented(
    images: UInt8[Tensor, "B H h w 3"], config: AugmentationConfig, generator: torch.Generator
) -> Shaped[Tensor, "B H h w 3"]:
    images = _moved(images, config.shift, generator)
    if not (config.brightness or config.contrast or config.saturation or config.hue):
        return images
    draws = 2 * torch.rand(4, len(images), generator=generator).to(images.device) - 1
    return recoloured(
        images,
        brightness=1 + config.brightness * draws[0],
        contrast=1 + config.contrast * draws[1],
        saturation=1 + config.saturation * draws[2],
        hue=config.hue * draws[3],
    )


def shifted(
    images: Shaped[Tensor, "B H h w 3"], offsets: Int[Tensor, "2 B"], *, most: int
) -> Shaped[Tensor, "B H h w 3"]:
    """Each example moved by its own number of pixels, down and to the right; where it left, the edge is repeated.

    Args:
        images: Of one size.
        offsets: From `-most` to `most`.
        most: The furthest that any is moved.
    """
    for axis in (2, 3):
        first, last = images.narrow(axis, 0, 1), images.narrow(axis, images.shape[axis] - 1, 1)
        repeats = [most if each == axis else -1 for each in range(images.ndim)]
        images = torch.cat([first.expand(repeats), images, last.expand(repeats)], axis)
    height, width = (size - 2 * most for size in images.shape[2:4])
    windows = images.unfold(2, height, 1).unfold(3, width, 1)  # a view, from which rows are copied whole
    y, x = most - offsets
    return windows.permute(0, 2, 3, 1, 5, 6, 4)[torch.arange(len(images), device=images.device), y, x]


def recoloured(
    images: Shaped[Tensor, "B H h w 3"],
    *,
    brightness: Float[Tensor, " B"],
    contrast: Float[Tensor, " B"],
    saturation: Float[Tensor, " B"],
    hue: Float[Tensor, " B"],
) -> Float[Tensor, "B H h w 3"]:
    """Each example with other colours: factors of 1 and a hue of 0, in turns of the circle, change nothing.

    The mean grey that contrast is about is that of the example's window.
    """
    values = images.float().flatten(1, 3)
    luma = _YIQ[0].to(values.device)
    identity = torch.eye(3, device=values.device)
    saturated = identity * saturation.view(-1, 1, 1) + luma * (1 - saturation).view(-1, 1, 1)
    colours = brightness.view(-1, 1, 1) * (saturated @ _rotation(hue))
    grey = ((values.mean(1, keepdim=True) @ colours.mT) @ luma.unsqueeze(1)).flatten()
    pivot = ((1 - contrast) * grey).view(-1, 1, 1).expand(-1, 1, 3)
    found = torch.baddbmm(pivot, values, contrast.view(-1, 1, 1) * colours.mT)
    return found.clamp_(0, 255).unflatten(1, images.shape[1:4])


def _rotation(hue: Float[Tensor, " B"]) -> Float[Tensor, "B 3 3"]:
    """The map of colours that turns their hue and keeps their luma."""
    yiq, angle = _YIQ.to(hue.device), -2 * math.pi * hue  # red, green and blue lie clockwise
    turned = torch.eye(3, device=hue.device).repeat(len(hue), 1, 1)
    turned[:, 1, 1], turned[:, 1, 2] = angle.cos(), -angle.sin()
    turned[:, 2, 1], turned[:, 2, 2] = angle.sin(), angle.cos()
    return torch.linalg.inv(yiq) @ turned @ yiq
