"""Feature maps -> vectors.

Legend: N images, C channels, h and w the size of a map, K keypoints, F features, L tokens.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_QUERY = 32  # features that a query of the attention gets


class SpatialSoftmax(nn.Module):
    """Each map as a density over the image: its mean place, and how strong the map is there (Finn et al. 2016,
    "Deep Spatial Autoencoders", arXiv:1509.06113).

    Places are in [-1, 1], x before y, -1 and 1 being the image's edges; a cell counts as its centre, so that maps of
    any resolution agree. In float32 whatever the precision around it: bfloat16 tells hardly a hundred places apart.

    Args:
        keypoints: K.
        strength: Whether the mean activation is given, too: a keypoint always has a place, even where nothing is.

    Attributes:
        width: F.
    """

    def __init__(self, keypoints: int, *, strength: bool) -> None:
        super().__init__()
        self._strength = strength
        self.width = keypoints * (3 if strength else 2)

    def forward(self, maps: Float[Tensor, "N K h w"]) -> Float[Tensor, "N F"]:
        height, width = maps.shape[-2:]
        with torch.autocast(maps.device.type, enabled=False):
            logits = maps.float().flatten(2)
            density = logits.softmax(-1)
            found = [density @ places(height, width, maps.device)]
            if self._strength:
                found.append((density * logits).sum(-1, keepdim=True))
            return torch.cat(found, -1).flatten(1)


class Keypoints(nn.Module):
    """Keypoints in the finest of several maps of one image, each of which sees the coarser ones behind it.

    The coarse maps know what a thing is, the fine ones where: they are added up from coarse to fine, as in a feature
    pyramid (Lin et al. 2017, arXiv:1612.03144).

    Args:
        channels: C of each map, from fine to coarse.
        keypoints: K.
        strength: As in `SpatialSoftmax`.

    Attributes:
        width: F.
    """

    def __init__(self, channels: Sequence[int], *, keypoints: int, strength: bool) -> None:
        super().__init__()
        fine = channels[0]
        self.lateral = nn.ModuleList(nn.Conv2d(each, fine, 1) for each in channels[1:])
        self.maps = nn.Conv2d(fine, keypoints, 1)
        self.softmax = SpatialSoftmax(keypoints, strength=strength)
        self.width = self.softmax.width

    def forward(self, maps: Sequence[Float[Tensor, "N _ _ _"]]) -> Float[Tensor, "N F"]:
        """Keypoints of maps given from fine to coarse."""
        fine, *coarser = maps
        below = None
        for lateral, each in reversed(list(zip(self.lateral, coarser, strict=True))):
            here = lateral(each)
            below = here if below is None else here + _enlarged(below, each)
        return self.softmax(self.maps(F.relu(fine if below is None else fine + _enlarged(below, fine))))


class AttentionPool(nn.Module):
    """Learned queries, each of which attends to the places of a map: what stands there, and where the attention is.

    Args:
        channels: C.
        width: F.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        queries = max(1, width // _QUERY)
        self.norm = nn.LayerNorm(channels)
        self.keys = nn.Linear(channels, queries)
        self.values = nn.Linear(channels, width)
        self.output = nn.Linear(width + 2 * queries, width)

    def kept(self, maps: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
        """What of maps is looked at: all."""
        return maps

    def forward(self, maps: Float[Tensor, "N C h w"]) -> Float[Tensor, "N F"]:
        tokens = self.norm(maps.flatten(2).transpose(1, 2))
        attention = self.keys(tokens).float().softmax(1).transpose(1, 2)
        values = self.values(tokens).unflatten(2, (attention.shape[1], -1)).transpose(1, 2)
        seen = (attention.unsqueeze(2).to(values.dtype) @ values).flatten(1)
        where = (attention @ places(maps.shape[-2], maps.shape[-1], maps.device)).flatten(1)
        return self.output(torch.cat([seen, where.to(seen.dtype)], 1))


class MeanPool(nn.Module):
    """The mean over all places, projected.

    Args:
        channels: C.
        width: F.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.norm, self.output = nn.LayerNorm(channels), nn.Linear(channels, width)

    def kept(self, maps: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C 1 1"]:
        """What of maps is looked at: their means, so that no more need be stored of what a frozen network makes."""
        return maps.mean((2, 3), keepdim=True)

    def forward(self, maps: Float[Tensor, "N C h w"]) -> Float[Tensor, "N F"]:
        return self.output(self.norm(maps.mean((2, 3))))


def places(height: int, width: int, device: torch.device) -> Float[Tensor, "cells 2"]:
    """X and y of the centre of every cell, row by row."""
    y, x = ((2 * torch.arange(size, device=device) + 1) / size - 1 for size in (height, width))
    return torch.stack([x.repeat(height), y.repeat_interleave(width)], -1)


def _enlarged(coarse: Float[Tensor, "N C _ _"], fine: Float[Tensor, "N _ h w"]) -> Float[Tensor, "N C h w"]:
    return F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")
