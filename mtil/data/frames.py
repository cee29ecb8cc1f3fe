"""Images of demonstrations, gathered from mapped files at the speed of memory, or decoded as they are asked for.

Legend: B batch, H history, N rows (time steps of all episodes, one after the other), h x w pixels.
"""

import math
import mmap
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from mtil.data.config import Decoding
from mtil.data.decoding import decoded_once
from mtil.data.defects import reading
from mtil.data.images import Encoded, Images, Mapped
from mtil.data.scaling import scaled
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError


class Frames:
    """The images of one observation key over all episodes of a store, read-only.

    Images that lie in a file in one piece are mapped: the system's page cache holds them, not the process. The others
    are decoded once, into a file that is mapped, or each time that they are asked for. Pickled, it takes no image along
    and opens the files again when it reads.

    Args:
        tasks: The tasks' demonstrations, in the store's order.
        key: The images' key.
        decoding: When to decode.

    Attributes:
        shape: Of one image, (h, w, 3), as it is handed out.

    Raises:
        DatasetError: An image cannot be read.
        OutputError: There is no room for what is decoded once.
    """

    def __init__(self, tasks: Sequence[TaskDemos], key: str, *, decoding: Decoding = "once") -> None:
        self.shape = self._stored = tasks[0].observations[key].shape
        pieces = [images for task in tasks for images in task.images(key)]
        self._pieces = decoded_once(pieces, self._stored) if decoding == "once" else pieces
        self._reader: _Reader | None = _Reader(self._pieces, self._stored)

    def scaled(self, shape: tuple[int, ...]) -> "Frames":
        """The same images, in the same memory, each scaled to a shape when it is taken."""
        if shape == self.shape:
            return self
        frames = Frames.__new__(Frames)
        frames.__dict__ |= self.__dict__ | {"shape": shape}
        return frames

    def __len__(self) -> int:
        return sum(images.steps for images in self._pieces)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reader": None}

    def take(self, rows: Int[np.ndarray, "B H"]) -> UInt8[Tensor, "B H h w 3"]:
        """The images at the given rows of the store, copied.

        Raises:
            DatasetError: A file was cut short since it was opened, or, having been pickled, finds another in its place;
                or an image cannot be decoded.
        """
        if self._reader is None:
            self._reader = _Reader(self._pieces, self._stored)
        images = torch.from_numpy(self._reader.take(rows.ravel()).reshape(-1, *self._stored))
        if self.shape != self._stored:
            images = scaled(images, self.shape)
        return images.unflatten(0, rows.shape)


class _Reader:
    """Takes images from wherever they lie: the mapped ones all at once, the others demonstration by demonstration; what
    lies nowhere is black.
    """

    def __init__(self, pieces: Sequence[Images], shape: tuple[int, ...]) -> None:
        self._shape = shape
        steps = np.array([images.steps for images in pieces])
        self._first = steps.cumsum() - steps
        self._encoded = {at: images for at, images in enumerate(pieces) if isinstance(images, Encoded)}
        mapped = [images for images in pieces if isinstance(images, Mapped)]
        self._memory = _Memory(mapped, shape) if mapped else None
        self._lies = np.array([isinstance(images, Mapped) for images in pieces])
        self._mapped_before = np.where(self._lies, steps, 0).cumsum() - np.where(self._lies, steps, 0)

    def take(self, rows: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, " _"]:
        """The bytes of the images at the given rows, one after the other."""
        if self._memory is not None and self._lies.all():
            return self._memory.take(rows)
        piece = np.searchsorted(self._first, rows, side="right") - 1
        step = rows - self._first[piece]
        mapped = self._lies[piece]
        pieces = [each for each in np.unique(piece[~mapped]).tolist() if each in self._encoded]
        decoded = {each: self._encoded[each].read(step[piece == each]) for each in pieces}  # or raises, if others
        taken = np.zeros((len(rows), *self._shape), np.uint8)
        if self._memory is not None and mapped.any():
            found = self._memory.take(self._mapped_before[piece[mapped]] + step[mapped])
            taken[mapped] = found.reshape(-1, *self._shape)
        for each in pieces:
            taken[piece == each] = decoded[each]
        return taken.reshape(-1)


class _Memory:
    """Where mapped images lie in this process, and the reading of them.

    They are items of ONE array, which begins at the first byte of whatever lies lowest and has an item at every byte
    from there on; only items at which an image begins are read. So a single indexing operation, whose result is the
    batch, reads from any number of files. (With one operation a file, the results would have to be copied once more;
    and NumPy's `take` would make such an array contiguous before it reads.)
    """

    def __init__(self, pieces: Sequence[Mapped], shape: tuple[int, ...]) -> None:
        image = np.dtype((np.void, math.prod(shape)))
        files = {images.file: images for images in pieces}
        blocks = {path: _map(images) for path, images in files.items()}
        address = {path: np.frombuffer(block, np.uint8).ctypes.data for path, block in blocks.items()}
        lowest = min(address, key=lambda path: address[path])

        steps = np.array([images.steps for images in pieces])
        first = [address[images.file] - address[lowest] + images.offset for images in pieces]
        step = np.arange(steps.sum()) - (steps.cumsum() - steps).repeat(steps)
        self._item = np.repeat(first, steps) + step * image.itemsize
        self._images = np.lib.stride_tricks.as_strided(
            np.frombuffer(blocks[lowest], image, 1), (self._item.max() + 1,), (1,), writeable=False
        )
        self._block = np.repeat([list(blocks).index(images.file) for images in pieces], steps)
        self._blocks = blocks
        self._sizes = {path: images.stamp.size for path, images in files.items()}

    def take(self, rows: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, " _"]:
        """The bytes of the images at the given rows, one after the other."""
        self._check_sizes(rows)
        return self._images[self._item.take(rows)].view(np.uint8)

    def _check_sizes(self, rows: Int[np.ndarray, " N"]) -> None:
        """A read beyond the end of a mapped file kills the process: the files that are read from must be whole."""
        touched = np.zeros(len(self._blocks), bool)
        touched[self._block.take(rows)] = True
        for (path, block), reads in zip(self._blocks.items(), touched.tolist(), strict=True):
            if reads and (size := block.size()) < self._sizes[path]:  # asks the system each time
                expected = f"expected {self._sizes[path]} bytes as when it was opened"
                raise DatasetError(f"{path}: cut short since: {expected}, found {size}")


def _map(images: Mapped) -> mmap.mmap:
    """The file in which images lie, mapped."""
    with reading(images.file), images.file.open("rb") as file:
        images.check_unchanged(file.fileno())
        return mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
