"""What every image encoder is: images and z in, features out.

Legend: N images, h and w their size, F features, V what a frozen network makes of an image, Z width of z.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float, Shaped
from torch import Tensor, nn


class ImageEncoder(nn.Module, ABC):
    """Turns images of one size into vectors.

    Attributes:
        width: F.
        smallest: Pixels that an image must have along either side.
    """

    width: int
    smallest: int

    @abstractmethod
    def forward(self, images: Float[Tensor, "N 3 h w"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        """Features of images in [0, 1], channels last in memory."""


class FrozenEncoder(ImageEncoder):
    """An encoder of which the greater part may be frozen: what that makes of an image need be computed only once.

    Attributes:
        frozen: Whether it is.
    """

    frozen: bool

    @abstractmethod
    def look(self, images: Float[Tensor, "N 3 h w"]) -> Shaped[Tensor, "N *V"]:
        """What the part that may be frozen makes of images."""

    @abstractmethod
    def read(self, looked: Shaped[Tensor, "N *V"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        """The features, of that."""

    def forward(self, images: Float[Tensor, "N 3 h w"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        return self.read(self.look(images), z)
