"""Images scaled as they are read, where a policy is to see them smaller, or datasets differ in size.

Legend: N images, H x W pixels as they are stored, h x w as they are wanted, T time steps.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, Shaped, UInt8
from torch import Tensor

from mtil.data.images import Blank, Encoded, Images, Mapped, Stamp
from mtil.data.task_demos import TaskDemos
from mtil.types import Episode, FeatureSpec


def scaled(images: UInt8[Tensor, "N H W 3"], shape: Sequence[int]) -> UInt8[Tensor, "N h w 3"]:
    """Images of another size; where that is smaller, all pixels are averaged over."""
    found = F.interpolate(images.permute(0, 3, 1, 2), shape[:2], mode="bilinear", antialias=True, align_corners=False)
    return found.permute(0, 2, 3, 1)


def as_taken(image: Shaped[np.ndarray, "..."], feature: FeatureSpec) -> Shaped[np.ndarray, "..."]:
    """An observed image as those were that a policy was trained on: scaled if they were, and it has another size."""
    if not feature.scaled or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        return image
    return image if image.shape == feature.shape else _scaled_array(np.ascontiguousarray(image)[None], feature.shape)[0]


def with_image_size(task: TaskDemos, size: int | None) -> TaskDemos:
    """A task's demonstrations with all images scaled to a height and width; None: as they are."""
    stored = {key: feature for key, feature in task.observations.items() if feature.kind == "image"}
    if size is None or all(feature.scaled for feature in stored.values()):
        return task
    return _Scaled(
        path=task.path,
        task=task.task,
        demos=task.demos,
        lengths=task.lengths,
        observations={**task.observations, **{key: _smaller(feature, size) for key, feature in stored.items()}},
        action=task.action,
        masks=task.masks,
        env_args=task.env_args,
        source=task,
    )


@dataclass(frozen=True)
class _Scaled(TaskDemos):
    source: TaskDemos

    def images(self, key: str) -> Iterator[Images]:
        stored, wanted = self.source.observations[key].shape, self.observations[key].shape
        for images in self.source.images(key):
            same = stored == wanted or isinstance(images, Blank)
            yield images if same else _ScaledImages(images.file, images.stamp, images.steps, images, stored, wanted)

    def unread(self) -> tuple[str, ...]:
        return self.source.unread()

    def stamp(self) -> Stamp:
        return self.source.stamp()

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        smaller = {
            key: self.observations[key].shape
            for key in keys
            if self.observations[key].shape != self.source.observations[key].shape
        }
        for episode in self.source.episodes(keys, demos):
            seen = {key: _scaled_array(episode.observations[key], shape) for key, shape in smaller.items()}
            yield replace(episode, observations={**episode.observations, **seen})


@dataclass(frozen=True)
class _ScaledImages(Encoded):
    """Images that are scaled when they are read.

    Attributes:
        source: As they are stored.
        stored: Shape of one there.
        wanted: Shape of one here.
    """

    source: Images
    stored: tuple[int, ...]
    wanted: tuple[int, ...]

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        assert isinstance(self.source, Encoded | Mapped), "black images are of any size"
        found = self.source.read(steps, self.stored) if isinstance(self.source, Mapped) else self.source.read(steps)
        return _scaled_array(found, self.wanted)


def _smaller(feature: FeatureSpec, size: int) -> FeatureSpec:
    return replace(feature, shape=(size, size, 3), scaled=True)


def _scaled_array(images: UInt8[np.ndarray, "N H W 3"], shape: Sequence[int]) -> UInt8[np.ndarray, "N h w 3"]:
    return np.ascontiguousarray(scaled(torch.from_numpy(images), shape).numpy())
