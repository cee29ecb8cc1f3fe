"""Images that Minari encoded: a JPEG picture a row, of lengths that differ, or that all happen to be the same.

Legend: N images, h x w pixels.
"""

import os
from dataclasses import dataclass

import h5py
import numpy as np
from jaxtyping import Int, UInt8

from mtil.data.defects import reading
from mtil.data.hdf5.images import opened
from mtil.data.images import Encoded
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


def decode_rows(array: h5py.Dataset, rows: slice | np.ndarray, shape: tuple[int, ...]) -> UInt8[np.ndarray, "N h w 3"]:
    """Some pictures of an array, decoded.

    Raises:
        DatasetError: One is damaged, or has another shape.
    """
    try:
        return np.stack([decoded(row.tobytes(), shape) for row in array[rows]])
    except DatasetError as error:
        raise DatasetError(f"{array.file.filename}: {array.name}: {error}") from None


@dataclass(frozen=True)
class Jpegs(Encoded):
    """Encoded pictures in an array of an HDF5 file.

    Attributes:
        name: Of the array in its file.
        shape: That they are expected to have, (h, w, 3).
    """

    name: str
    shape: tuple[int, ...]

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        with reading(self.file):
            self.check_unchanged(self.file)
            file = opened(self.file, self.stamp, os.getpid())
        with reading(self.file, self.name):
            array = file[self.name]
            assert isinstance(array, h5py.Dataset)
            wanted, place = np.unique(steps, return_inverse=True)  # HDF5 takes increasing ones alone
            return decode_rows(array, wanted, self.shape)[place]
