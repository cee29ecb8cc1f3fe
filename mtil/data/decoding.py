"""Images decoded once, into a file of the cache that can be mapped."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from rich.console import Console
from rich.progress import track

from mtil.data.cache import cached, digest
from mtil.data.images import Encoded, Images, Mapped, Stamp
from mtil.errors import DatasetError


def decoded_once(pieces: Sequence[Images], shape: tuple[int, ...]) -> list[Images]:
    """The same images, those that were encoded now mapped, for each file that held them in one of the cache.

    Args:
        pieces: Of any kind.
        shape: Of one image, (h, w, 3).

    Raises:
        DatasetError: An image cannot be decoded, or has another size.
        OutputError: There is no room for them.
    """
    holders: dict[Path, list[Encoded]] = {}
    for images in pieces:
        if isinstance(images, Encoded):
            holders.setdefault(images.file, []).append(images)
    mapped: dict[Encoded, Mapped] = {}
    for encoded in holders.values():
        mapped |= _decoded(encoded, shape)
    return [mapped[images] if isinstance(images, Encoded) else images for images in pieces]


def _decoded(pieces: Sequence[Encoded], shape: tuple[int, ...]) -> dict[Encoded, Mapped]:
    path = cached(f"images/{digest(shape, pieces)}.rgb", lambda file: _decode(pieces, shape, file))
    stamp, steps = Stamp.of(path), 0
    mapped = {}
    for images in pieces:
        mapped[images] = Mapped(path, stamp, images.steps, offset=steps * math.prod(shape))
        steps += images.steps
    return mapped


def _decode(pieces: Sequence[Encoded], shape: tuple[int, ...], file: BinaryIO) -> None:
    """Write the images one after the other."""
    size = sum(images.steps for images in pieces) * math.prod(shape)
    description = f"decoding {pieces[0].file.name} ({size / 1e6:,.0f} MB)"
    for images in track(pieces, description, console=Console(stderr=True), transient=True):
        for found in images.blocks():
            if found.shape[1:] != shape:
                raise DatasetError(f"{images.file}: expected images of shape {shape}, found {found.shape[1:]}")
            file.write(found.data)
