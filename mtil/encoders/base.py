"""What every task encoder is: a descriptor of a task in, an embedding z out.

Legend: N descriptors, B batch, F frames of a clip, Z width of z, h x w pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from mtil.data.kinds import DescriptorKind
from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationConfig
from mtil.errors import EncoderError
from mtil.types import DatasetSpec

Clip = UInt8[np.ndarray, "F h w 3"]
Goal = Shaped[np.ndarray, "..."]
Descriptor = TypeVar("Descriptor", str, Clip, Goal)


class TaskEncoder(nn.Module, ABC, Generic[Descriptor]):
    """Turns descriptors of one kind (names, sentences, frames of videos, goals) into embeddings.

    Attributes:
        kind: The kind of descriptor that it takes.
        width: Size of z.
        shared: Whether descriptors that several examples share are encoded once: it pays where one costs much.
    """

    kind: DescriptorKind
    width: int
    shared: bool = False

    def fit(self, statistics: Mapping[str, FeatureStatistics], config: NormalizationConfig) -> None:
        """Fix the normalisation of descriptors that are numbers; most are not."""

    @abstractmethod
    def prepare(self, descriptors: Sequence[Descriptor]) -> Shaped[Tensor, "N ..."]:
        """Everything about raw descriptors that need not be computed more than once."""

    def inherit(self, state: Mapping[str, Tensor], before: DatasetSpec) -> dict[str, Tensor]:
        """A state of such an encoder of an earlier vocabulary, made to fit this one: what that lacks is as it is here.

        Args:
            state: By name.
            before: What the data decided of the encoder that it is of.
        """
        return dict(state)

    @abstractmethod
    def forward(self, prepared: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B Z"]:
        """The embedding z of prepared descriptors; this part is trained."""


class ClipEncoder(TaskEncoder[Clip]):
    """What encodes clips.

    Attributes:
        shape: Of a clip, (F, h, w, 3).
        frozen: Whether a frozen network sees the clips: they are then prepared by letting it look at them, once.
    """

    kind = "video"
    shared = True
    shape: tuple[int, ...]
    frozen: bool

    def stacked(self, descriptors: Sequence[Clip]) -> UInt8[Tensor, "N F h w 3"]:
        """Clips side by side, where the encoder is.

        Raises:
            EncoderError: One has another shape than the encoder takes.
        """
        return side_by_side(descriptors, self.shape, what="clips").to(next(self.parameters()).device)


def side_by_side(
    arrays: Sequence[Shaped[np.ndarray, "..."]], shape: tuple[int, ...], *, what: str
) -> Shaped[Tensor, "N ..."]:
    """Descriptors that are arrays, as one.

    Raises:
        EncoderError: One has another shape.
    """
    for array in arrays:
        if array.shape != shape:
            raise EncoderError(f"expected {what} of shape {shape}, found {array.shape}")
    return torch.from_numpy(np.stack(arrays))
