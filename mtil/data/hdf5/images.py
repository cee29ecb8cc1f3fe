"""Images of an HDF5 file: mapped where they lie in one piece, otherwise read by HDF5."""

import functools
import os
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from jaxtyping import Int, UInt8

from mtil.data.defects import reading
from mtil.data.hdf5.demo import offset_in_file
from mtil.data.images import Encoded, Images, Mapped, Stamp


def images_of(array: h5py.Dataset) -> Images:
    """Where the images of an array lie."""
    holder = Path(array.file.filename)  # where the file has external links, another one
    offset = offset_in_file(array)
    if offset is None:
        return Compressed(holder, Stamp.of(holder), len(array), str(array.name))
    return Mapped(holder, Stamp.of(holder), len(array), offset)


@dataclass(frozen=True)
class Compressed(Encoded):
    """Images in an array that is chunked, compressed, or lies outside its file.

    Attributes:
        name: Of the array in its file.
    """

    name: str

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        return self.stored(steps)

    def stored(self, steps: Int[np.ndarray, " N"]) -> np.ndarray:
        """The rows of some steps as they are in the array.

        Raises:
            DatasetError: They cannot be read, or the file was written to.
        """
        with reading(self.file):
            self.check_unchanged(self.file)
            file = _opened(self.file, self.stamp, os.getpid())
        with reading(self.file, self.name):
            array = file[self.name]
            assert isinstance(array, h5py.Dataset)
            wanted, place = np.unique(steps, return_inverse=True)  # HDF5 takes increasing ones alone
            return array[wanted][place]


@functools.lru_cache(maxsize=16)
def _opened(path: Path, stamp: Stamp, process: int) -> h5py.File:
    """A file kept open, in each process for itself."""
    return h5py.File(path, "r")
