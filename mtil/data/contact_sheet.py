"""Images of a dataset at a glance: how each task's first demonstration begins, goes on and ends, as the policy sees it.

Legend: T time steps, h x w pixels.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.figure import Figure

from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError
from mtil.pictures import write_figure

_DPI = 100
_SIZE = 192  # pixels that an image is enlarged to, as nearly as whole pixels allow
_GAP, _LINE = 8, 20  # pixels between images, and of a line of text
_TALLEST = 2**16 - 1  # matplotlib draws no taller picture


def write_contact_sheet(path: Path, files: Sequence[TaskDemos]) -> None:
    """Draw the first, middle and last frame of each task's first demonstration, for each of its image keys.

    Args:
        path: A file ending in .png, .svg or .pdf.
        files: The tasks, a row each.

    Raises:
        DatasetError: There are no images, or they cannot be read.
        OutputError: The suffix is of no such format, or the file cannot be written.
    """
    write_figure(path, contact_sheet(files), dpi=_DPI)


def contact_sheet(files: Sequence[TaskDemos]) -> Figure:
    """The sheet: every pixel of an image is a square of equal pixels.

    Raises:
        DatasetError: There are no images, or they cannot be read.
    """
    sizes = {key: spec.shape for file in files for key, spec in file.observations.items() if spec.kind == "image"}
    if not sizes:
        keys = ", ".join(dict.fromkeys(key for file in files for key in file.observations))
        raise DatasetError(f"{files[0].path}: expected images for a contact sheet, found only states: {keys}")
    factors = {key: _factor(size[0], len(files)) for key, size in sizes.items()}
    widths = {key: 3 * (factors[key] * size[1] + _GAP) for key, size in sizes.items()}
    lefts = dict(zip(widths, itertools.accumulate(widths.values(), initial=_GAP), strict=False))
    row = max(factors[key] * size[0] for key, size in sizes.items()) + _GAP + 2 * _LINE
    sheet = _Sheet(_GAP + sum(widths.values()), row * len(files) + _GAP)
    for top, file in zip(itertools.count(_GAP, row), files, strict=False):
        sheet.write(_GAP, top, " ".join([f"{file.task.name}:", *file.task.instructions[:1]]), bold=True)
        for key in (key for key in sizes if key in file.observations):
            images = file.read(file.demos[0], [key]).observations[key]
            for place, step in enumerate((0, (len(images) - 1) // 2, len(images) - 1)):
                left = lefts[key] + place * widths[key] // 3
                sheet.write(left, top + _LINE, f"{key}, step {step}")
                sheet.draw(left, top + 2 * _LINE, images[step], factors[key])
    return sheet.figure


def _factor(height: int, rows: int) -> int:
    """How many times images are enlarged: as it suits, or less where so many rows would not fit on a sheet."""
    fits = (_TALLEST // rows - _GAP - 2 * _LINE) // height
    return max(1, min(_SIZE // height, fits))


class _Sheet:
    """A figure on which images and text are placed by pixels, counted from the upper left corner."""

    def __init__(self, width: int, height: int) -> None:
        self.figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
        self._width, self._height = width, height

    def write(self, left: int, top: int, text: str, *, bold: bool = False) -> None:
        """Write a line, its dollar signs as they are."""
        self.figure.text(
            left / self._width,
            1 - top / self._height,
            text,
            va="top",
            fontsize=9,
            weight="bold" if bold else "normal",
            parse_math=False,
        )

    def draw(self, left: int, top: int, image: UInt8[np.ndarray, "h w 3"], factor: int) -> None:
        """Draw an image so many times enlarged."""
        large = image.repeat(factor, axis=0).repeat(factor, axis=1)
        self.figure.figimage(large, left, self._height - top - len(large), origin="upper")
