"""Pictures in memory, encoded as PNG or JPEG, become arrays; damaged ones are told."""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mtil.errors import DatasetError


def picture_shape(content: bytes) -> tuple[int, int, int]:
    """Of the array that a picture becomes, (h, w, 3), by its own word.

    Raises:
        DatasetError: It is no picture.
    """
    with _decoding():
        picture = Image.open(io.BytesIO(content))
        return picture.height, picture.width, 3
    raise AssertionError("what cannot be decoded has raised")


def decoded(content: bytes, shape: tuple[int, ...]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as an array.

    Raises:
        DatasetError: It is none, is damaged, or has another shape.
    """
    with _decoding():
        picture = Image.open(io.BytesIO(content))
        found = (picture.height, picture.width, 3)
        picture.verify()  # checksums, which decoding passes over
    if found != shape:
        raise DatasetError(f"expected pictures of shape {shape}, found {found}")
    with _decoding():
        return np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    raise AssertionError("what cannot be decoded has raised")


@contextmanager
def _decoding() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # damaged bytes make Pillow raise nearly anything: OSError, SyntaxError, struct.error...
        raise DatasetError(f"a picture cannot be decoded: {' '.join(str(error).split())[:100]}") from None
