"""Images of demonstrations, gathered from mapped files at the speed of memory.

Legend: B batch, H history, N rows (time steps of all episodes, one after the other), h x w pixels.
"""

import itertools
import math
import mmap
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int, UInt8
from torch import Tensor

from mtil.data.defects import reading
from mtil.data.demo import offset_in_file
from mtil.data.hdf5 import TaskFile
from mtil.errors import DatasetError


class Frames:
    """The images of one observation key over all episodes of a store, read-only.

    Arrays that lie in one piece are mapped: the system's page cache holds them, not the process. The others (chunked,
    compressed) are decoded once, into memory. Pickled, it takes no image along and opens the files again when it reads.

    Args:
        files: The tasks' files, in the store's order.
        key: The images' key.

    Attributes:
        shape: Of one image, (h, w, 3), as it is handed out.

    Raises:
        DatasetError: An image cannot be read.
    """

    def __init__(self, files: Sequence[TaskFile], key: str) -> None:
        self.shape = self._stored = files[0].observations[key].shape
        self._arrays = list(_arrays(files, key))
        self._memory: _Memory | None = _Memory(self._arrays, self._stored)

    def scaled(self, shape: tuple[int, ...]) -> "Frames":
        """The same images, in the same memory, each scaled to a shape when it is taken."""
        if shape == self.shape:
            return self
        frames = Frames.__new__(Frames)
        frames.__dict__ |= self.__dict__ | {"shape": shape}
        return frames

    def __len__(self) -> int:
        return sum(array.steps for array in self._arrays)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_memory": None}

    def take(self, rows: Int[np.ndarray, "B H"]) -> UInt8[Tensor, "B H h w 3"]:
        """The images at the given rows of the store, copied.

        Raises:
            DatasetError: A file was cut short since it was opened, or, having been pickled, finds another in its place.
        """
        if self._memory is None:
            self._memory = _Memory(self._arrays, self._stored)
        images = torch.from_numpy(self._memory.take(rows.ravel()).reshape(-1, *self._stored))
        if self.shape != self._stored:
            images = _scaled(images, self.shape)
        return images.unflatten(0, rows.shape)


def _scaled(images: UInt8[Tensor, "N _ _ 3"], shape: tuple[int, ...]) -> UInt8[Tensor, "N h w 3"]:
    """Images of another size; where that is smaller, all pixels are averaged over."""
    found = F.interpolate(images.permute(0, 3, 1, 2), shape[:2], mode="bilinear", antialias=True, align_corners=False)
    return found.permute(0, 2, 3, 1)


class _Stamp(NamedTuple):
    """Tells a file from any other, and from itself once it has been written to."""

    device: int
    inode: int
    size: int
    modified: int


@dataclass(frozen=True)
class _Array:
    """The images of one demonstration on disk.

    Attributes:
        file: Which holds them.
        stamp: Of that file, as it was when the dataset was opened.
        name: Of the dataset in it.
        steps: Their number.
        mapped: Whether they lie in the file in one piece.
        offset: Of the first byte, in the file or else among all that has to be decoded.
    """

    file: Path
    stamp: _Stamp
    name: str
    steps: int
    mapped: bool
    offset: int


def _arrays(tasks: Sequence[TaskFile], key: str) -> Iterator[_Array]:
    decoded = 0
    for task in tasks:
        with reading(task.path), h5py.File(task.path, "r") as file:
            for demo in task.demos:
                array = file[f"data/{demo}/obs/{key}"]
                assert isinstance(array, h5py.Dataset)
                holder = Path(array.file.filename)  # where the file has external links, another one
                offset = offset_in_file(array)
                place = decoded if offset is None else offset
                decoded += array.nbytes if offset is None else 0
                yield _Array(holder, _stamp(os.stat(holder)), str(array.name), len(array), offset is not None, place)


class _Memory:
    """Where the images lie in this process, and the reading of them.

    They are items of ONE array, which begins at the first byte of whatever lies lowest and has an item at every byte
    from there on; only items at which an image begins are read. So a single indexing operation, whose result is the
    batch, reads from any number of files. (With one operation a file, the results would have to be copied once more;
    and NumPy's `take` would make such an array contiguous before it reads.)
    """

    def __init__(self, arrays: Sequence[_Array], shape: tuple[int, ...]) -> None:
        image = np.dtype((np.void, math.prod(shape)))
        mapped = {array.file: array for array in arrays if array.mapped}
        blocks: dict[Path | None, mmap.mmap] = {path: _map(array) for path, array in mapped.items()}
        if decoded := [array for array in arrays if not array.mapped]:
            blocks[None] = _decode(decoded, shape)
        address = {path: np.frombuffer(block, np.uint8).ctypes.data for path, block in blocks.items()}
        lowest = min(address, key=lambda path: address[path])

        block = [array.file if array.mapped else None for array in arrays]
        steps = np.array([array.steps for array in arrays])
        first = [address[of] - address[lowest] + array.offset for of, array in zip(block, arrays, strict=True)]
        step = np.arange(steps.sum()) - (steps.cumsum() - steps).repeat(steps)
        self._item = np.repeat(first, steps) + step * image.itemsize
        self._images = np.lib.stride_tricks.as_strided(
            np.frombuffer(blocks[lowest], image, 1), (self._item.max() + 1,), (1,), writeable=False
        )
        self._block = np.repeat([list(blocks).index(of) for of in block], steps)
        self._blocks = blocks
        self._sizes = {path: array.stamp.size for path, array in mapped.items()}

    def take(self, rows: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, " _"]:
        """The bytes of the images at the given rows, one after the other."""
        self._check_sizes(rows)
        return self._images[self._item.take(rows)].view(np.uint8)

    def _check_sizes(self, rows: Int[np.ndarray, " N"]) -> None:
        """A read beyond the end of a mapped file kills the process: the files that are read from must be whole."""
        touched = np.zeros(len(self._blocks), bool)
        touched[self._block.take(rows)] = True
        for (path, block), reads in zip(self._blocks.items(), touched.tolist(), strict=True):
            if path and reads and (size := block.size()) < self._sizes[path]:  # asks the system each time
                expected = f"expected {self._sizes[path]} bytes as when it was opened"
                raise DatasetError(f"{path}: cut short since: {expected}, found {size}")


def _map(array: _Array) -> mmap.mmap:
    """The file in which an array lies, mapped."""
    with reading(array.file), array.file.open("rb") as file:
        _check_unchanged(array, os.fstat(file.fileno()))
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)


def _decode(arrays: Sequence[_Array], shape: tuple[int, ...]) -> mmap.mmap:
    """Memory (near what is mapped, unlike the heap) with the images of all these arrays, one after the other."""
    size = sum(array.steps for array in arrays) * math.prod(shape)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for path, of_file in itertools.groupby(arrays, lambda array: array.file):
        with reading(path), h5py.File(path, "r") as file:
            for array in of_file:
                _check_unchanged(array, os.stat(path))
                with reading(path, array.name):
                    source = file[array.name]
                    assert isinstance(source, h5py.Dataset)
                    source.read_direct(np.ndarray((array.steps, *shape), np.uint8, memory, array.offset))
    return memory


def _stamp(found: os.stat_result) -> _Stamp:
    return _Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def _check_unchanged(array: _Array, found: os.stat_result) -> None:
    if _stamp(found) != array.stamp:
        raise DatasetError(f"{array.file}: changed since the dataset was opened")
