"""Where the images of one demonstration lie: mapped as they are in a file, or encoded in one.

Legend: N images, h x w pixels.
"""

import os
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from mtil.errors import DatasetError

AT_ONCE = 256
"""Images that are decoded before they are handed on."""


class Stamp(NamedTuple):
    """Tells a file from any other, and from itself once it has been written to."""

    device: int
    inode: int
    size: int
    modified: int

    @staticmethod
    def of(file: Path | int) -> "Stamp":
        """The stamp that a file, or an open one's descriptor, has now."""
        found = os.stat(file)
        return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class Images:
    """The images of one demonstration under one key.

    Attributes:
        file: Which holds them.
        stamp: Of that file, as it was when the dataset was opened.
        steps: Their number.
    """

    file: Path
    stamp: Stamp
    steps: int

    def check_unchanged(self, file: Path | int) -> None:
        """Compare a file, or the descriptor of an open one, with the one that was opened first.

        Raises:
            DatasetError: It is another one, or was written to.
            OSError: There is none.
        """
        if Stamp.of(file) != self.stamp:
            raise DatasetError(f"{self.file}: changed since the dataset was opened")


@dataclass(frozen=True)
class Mapped(Images):
    """Images that lie in their file one after the other, as bytes of RGB.

    Attributes:
        offset: Of the first byte.
    """

    offset: int

    def read(self, steps: Int[np.ndarray, " N"], shape: tuple[int, ...]) -> UInt8[np.ndarray, "N h w 3"]:
        """The images of some steps, each of a shape (h, w, 3). (Batches are read by `Frames`, many files at once.)

        Raises:
            DatasetError: The file was written to since it was opened, or is gone.
        """
        try:
            self.check_unchanged(self.file)
            return np.memmap(self.file, np.uint8, "r", self.offset, (self.steps, *shape))[steps]
        except OSError as error:
            raise DatasetError(f"{self.file}: cannot be read: {error.strerror or error}") from None


@dataclass(frozen=True)
class Blank(Images):
    """Images that were never taken, of a camera that a dataset has not: they are black."""


@dataclass(frozen=True)
class Encoded(Images):
    """Images that have to be decoded: compressed arrays, pictures, frames of a film."""

    @abstractmethod
    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        """The images of some steps, in the order asked for.

        Raises:
            DatasetError: They cannot be decoded, or are not what the file said that they were.
        """

    def blocks(self) -> Iterator[UInt8[np.ndarray, "N h w 3"]]:
        """All images, some at a time.

        Raises:
            DatasetError: As `read` does.
        """
        for start in range(0, self.steps, AT_ONCE):
            yield self.read(np.arange(start, min(start + AT_ONCE, self.steps)))
