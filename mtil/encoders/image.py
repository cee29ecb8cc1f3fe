"""What every image encoder is: images and z in, features out.

Legend: N images, h and w their size, F features, Z width of z.
"""

from abc import ABC, abstractmethod

from jaxtyping import Float
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
