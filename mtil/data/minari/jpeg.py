"""Images that Minari encoded: a JPEG picture a row, of lengths that differ, or that all happen to be the same.

Legend: N images, h x w pixels.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Int, UInt8

from mtil.data.hdf5.images import Compressed
from mtil.data.pictures import decoded, picture_shape
from mtil.errors import DatasetError
from mtil.types import FeatureSpec

_JPEG = b"\xff\xd8\xff"  # what every picture begins with


def is_encoded(array: h5py.Dataset) -> bool:
    """Whether an array holds encoded pictures."""
    if h5py.check_vlen_dtype(array.dtype) == np.uint8 and array.ndim == 1:
        return True
    return array.dtype == np.uint8 and array.ndim == 2 and len(array) > 0 and array[0].tobytes().startswith(_JPEG)


def encoded_feature(key: str, array: h5py.Dataset) -> FeatureSpec:
    """What they are, by the word of the first.

    Raises:
        DatasetError: It is no picture.
    """
    return FeatureSpec(key, picture_shape(array[0].tobytes()), "uint8", "image")


def decode_rows(rows: Iterable[np.ndarray], shape: tuple[int, ...], *, where: str) -> UInt8[np.ndarray, "N h w 3"]:
    """Pictures as arrays.

    Args:
        rows: The bytes of each.
        shape: That they are expected to have, (h, w, 3).
        where: They are, for messages.

    Raises:
        DatasetError: One is damaged, or has another shape.
    """
    try:
        return np.stack([decoded(row.tobytes(), shape) for row in rows])
    except DatasetError as error:
        raise DatasetError(f"{where}: {error}") from None


@dataclass(frozen=True)
class Jpegs(Compressed):
    """Encoded pictures in an array of an HDF5 file.

    Attributes:
        shape: That they are expected to have, (h, w, 3).
    """

    shape: tuple[int, ...]

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        return decode_rows(self.stored(steps), self.shape, where=f"{self.file}: {self.name}")
