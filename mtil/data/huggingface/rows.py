"""Rows of a Hugging Face dataset, whether a row is a step or an episode: the same questions of both.

Legend: T time steps, N images, h x w pixels.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int, Shaped, UInt8

from mtil.data.cache import digest
from mtil.data.defects import reading
from mtil.data.huggingface.arrays import dense, lists_of, picture_bytes
from mtil.data.huggingface.config import ColumnsConfig
from mtil.data.images import Encoded, Stamp
from mtil.data.pictures import decoded, picture_shape
from mtil.errors import DatasetError
from mtil.types import FeatureSpec

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class Place:
    """Where an episode lies: its first row, or the row that it is, and its steps."""

    row: int
    steps: int


class Rows(ABC):
    """A dataset and what its columns are.

    Args:
        dataset: Whose rows they are.
        columns: Which is what.
        path: What holds them, for messages.

    Attributes:
        path: Of the file or folder, or a name for what is in memory.
    """

    def __init__(self, dataset: "Dataset", columns: ColumnsConfig, path: Path) -> None:
        self.dataset, self.columns, self.path = dataset.with_format("arrow"), columns, path

    @staticmethod
    def of(dataset: "Dataset", columns: ColumnsConfig, path: Path) -> "Rows":
        """Rows that are steps, where there is a column of episodes' numbers, or that are episodes."""
        kind = Steps if columns.episode in dataset.column_names else Episodes
        return kind(dataset, columns, path)

    @property
    def fingerprint(self) -> str:
        """Tells the dataset, and what was done to it, from any other."""
        return str(self.dataset._fingerprint)

    def stamp(self) -> Stamp:
        """Of all files that hold rows, taken together; of what is in memory, always the same."""
        return _together(Path(each["filename"]) for each in self.dataset.cache_files)

    def beside(self, name: str, place: Place) -> Stamp:
        """Of the files that an episode's pictures lie in, where these are not in the rows; of those that are there."""
        cells = self.cells(name, place)
        if not is_picture(cells.type):
            return _together(())
        inside, paths = cells.field("bytes").is_valid().to_pylist(), cells.field("path").to_pylist()
        outside = (Path(path) for held, path in zip(inside, paths, strict=True) if path and not held)
        return _together(path for path in outside if path.is_file())

    def column(self, name: str) -> pa.ChunkedArray:
        """A whole column."""
        return self.dataset.select_columns([name])[:][name]

    @abstractmethod
    def numbers(self, name: str, place: Place) -> Shaped[np.ndarray, "T ..."]:
        """The numbers of an episode, one item a step.

        Raises:
            DatasetError: A value is missing, or they differ in shape.
        """

    @abstractmethod
    def images(self, name: str, place: Place, steps: Int[np.ndarray, " N"], shape: Sequence[int]) -> np.ndarray:
        """Images of some steps, uint8 (N, h, w, 3).

        Raises:
            DatasetError: One is missing, is none, or has another shape.
        """

    @abstractmethod
    def cells(self, name: str, place: Place) -> pa.Array:
        """A column's cells of an episode, one a step."""

    def image_shape(self, name: str, place: Place) -> tuple[int, ...]:
        """Of an episode's first image."""
        cell = self.cells(name, Place(place.row, 1))[:1]
        if pa.types.is_struct(cell.type):
            return picture_shape(picture_bytes(cell[0].as_py()))
        return dense(cell).shape[1:]


class Steps(Rows):
    """Each row is a step."""

    def numbers(self, name: str, place: Place) -> Shaped[np.ndarray, "T ..."]:
        return dense(self.dataset.select_columns([name])[place.row : place.row + place.steps][name])

    def images(self, name: str, place: Place, steps: Int[np.ndarray, " N"], shape: Sequence[int]) -> np.ndarray:
        rows = self.dataset.select_columns([name])[(place.row + steps).tolist()][name]
        return _pictures(rows.combine_chunks(), shape)

    def cells(self, name: str, place: Place) -> pa.Array:
        return self.dataset.select_columns([name])[place.row : place.row + place.steps][name].combine_chunks()


class Episodes(Rows):
    """Each row is an episode, whose columns are lists of a step each."""

    def numbers(self, name: str, place: Place) -> Shaped[np.ndarray, "T ..."]:
        return dense(self._steps(name, place))

    def images(self, name: str, place: Place, steps: Int[np.ndarray, " N"], shape: Sequence[int]) -> np.ndarray:
        return _pictures(self._steps(name, place).take(pa.array(steps)), shape)

    def cells(self, name: str, place: Place) -> pa.Array:
        return self._steps(name, place)

    def _steps(self, name: str, place: Place) -> pa.Array:
        (steps,) = lists_of(self.dataset.select_columns([name])[place.row : place.row + 1][name])
        return steps


@dataclass(frozen=True)
class RowImages(Encoded):
    """The images of an episode.

    Attributes:
        fingerprint: Of the dataset.
        column: Which.
        row: The episode's first.
        shape: That they are expected to have, (h, w, 3).
        beside: Stamp of the files that they lie in, where these are not in the rows.
        rows: Where they are.
    """

    fingerprint: str
    column: str
    row: int
    shape: tuple[int, ...]
    beside: Stamp
    rows: Rows = field(repr=False, compare=False)

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        try:
            with reading(self.file, self.column):
                if self.rows.stamp() != self.stamp:
                    raise DatasetError("changed since the dataset was opened")
                return self.rows.images(self.column, Place(self.row, self.steps), steps, self.shape)
        except DatasetError as error:  # of a picture, which does not know where it came from
            where = f"{self.file}: {self.column}: "
            raise DatasetError(where + str(error).removeprefix(where)) from None


def images_at(rows: Rows, place: Place, name: str, feature: FeatureSpec) -> RowImages:
    """Where the images of an episode lie."""
    stamp, print_ = rows.stamp(), rows.fingerprint
    beside = rows.beside(name, place)
    return RowImages(rows.path, stamp, place.steps, print_, name, place.row, feature.shape, beside, rows)


def is_picture(stored: pa.DataType | Any) -> bool:
    """Whether cells are pictures as `datasets.Image` stores them."""
    return pa.types.is_struct(stored) and {field.name for field in stored} == {"bytes", "path"}


def _together(files: Iterable[Path]) -> Stamp:
    """One stamp for several files, which changes when that of one of them does."""
    found = []
    for file in files:
        with reading(file):
            found.append(Stamp.of(file))
    if not found:
        return Stamp(0, 0, 0, 0)
    first, told = found[0], int(digest(*found)[:15], 16)
    return first if len(found) == 1 else Stamp(first.device, first.inode, sum(each.size for each in found), told)


def _pictures(cells: pa.Array, shape: Sequence[int]) -> UInt8[np.ndarray, "N h w 3"]:
    if not pa.types.is_struct(cells.type):
        return dense(cells)
    return np.stack([decoded(picture_bytes(cell), tuple(shape)) for cell in cells.to_pylist()])
