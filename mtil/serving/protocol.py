"""Messages between a client and a served policy, as docs/serving.md tells. Nothing is unpickled.

A message is the sizes of its two parts, a header in JSON, and the bytes of the arrays that the header describes, one
after the other.
"""

import json
from collections.abc import Mapping
from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Shaped
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from mtil.errors import ServingError, unknown
from mtil.serving.client import SIZES

LARGEST_HEADER = 2**14  # bytes, of a request

_Name = Annotated[str, StringConstraints(max_length=200)]  # no request can make the server compare long ones
_COMPLAINTS = 3  # told of a header that is wrong in many ways


class _Wire(BaseModel):
    """A part of a header."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ArrayType(_Wire):
    """What an array is.

    Attributes:
        dtype: As NumPy's array interface writes it, e.g. `"<f4"`.
        shape: Its axes.
    """

    dtype: Annotated[str, StringConstraints(max_length=8)]
    shape: Annotated[tuple[int, ...], Field(max_length=8)]

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"

    @property
    def size(self) -> int:
        """Bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    @staticmethod
    def of(array: Shaped[np.ndarray, "..."]) -> "ArrayType":
        """That of an array on this machine, as it is sent."""
        return array_type(array.dtype, array.shape)


ArrayTypes = Mapping[_Name, ArrayType]
"""By key, in the order in which the bytes come."""


class Reset(_Wire):
    """Begin an episode.

    Attributes:
        task: Its task's name.
        kind: Of descriptor; else it follows from what is given.
        words: A sentence that tells the task.
        arrays: A goal or a clip that shows it.
    """

    do: Literal["reset"]
    task: _Name | None = None
    kind: _Name | None = None
    words: Annotated[str, StringConstraints(max_length=1000)] | None = None
    arrays: ArrayTypes = {}


class Act(_Wire):
    """Show an observation, and ask for the action to take."""

    do: Literal["act"]
    arrays: ArrayTypes = {}


class Chunk(_Wire):
    """Show an observation, and ask for all that the policy predicts, from some control steps after it on."""

    do: Literal["chunk"]
    delay: Annotated[int, Field(ge=0)] = 0
    arrays: ArrayTypes = {}


class Observe(_Wire):
    """Show an observation, and ask for nothing."""

    do: Literal["observe"]
    arrays: ArrayTypes = {}


Request = Reset | Act | Chunk | Observe
_REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="do")])


def array_type(dtype: str | np.dtype, shape: tuple[int, ...]) -> ArrayType:
    """What arrays of a type are when they are sent: little-endian."""
    return ArrayType(dtype=np.dtype(dtype).newbyteorder("<").str, shape=shape)


def described(types: ArrayTypes) -> dict[str, Any]:
    """Types of arrays as JSON values."""
    return {key: {"dtype": each.dtype, "shape": each.shape} for key, each in types.items()}


def message(header: Mapping[str, Any], arrays: Mapping[str, Shaped[np.ndarray, "..."]] | None = None) -> bytes:
    """A message, ready to be sent."""
    arrays = arrays or {}
    types = {key: ArrayType.of(array) for key, array in arrays.items()}
    told = json.dumps({**header, "arrays": described(types)}).encode()
    body = b"".join(array.astype(types[key].dtype).tobytes() for key, array in arrays.items())
    return SIZES.pack(len(told), len(body)) + told + body


def read_request(header: bytes) -> Request:
    """The request that a header makes.

    Raises:
        ServingError: It makes none.
    """
    try:
        return _REQUEST.validate_json(header)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[:_COMPLAINTS]
        clauses = (": ".join([".".join(map(str, each["loc"])) or "header", each["msg"]]) for each in found)
        raise ServingError(f"request: {'; '.join(clauses)}") from None


def check_arrays(found: ArrayTypes, expected: ArrayTypes, *, size: int) -> None:
    """Compare what a request announces with what it is to bring, before any of it is read.

    Args:
        found: As its header describes it.
        expected: In any order.
        size: Bytes that it announces.

    Raises:
        ServingError: A key is missing, not known, or of another type; or the bytes are more or fewer.
    """
    for key in found:
        if key not in expected:
            raise ServingError(f"arrays: {unknown('key', key, expected)}")
    for key, each in expected.items():
        if key not in found:
            raise ServingError(f"arrays: expected {key!r} ({each}), found {', '.join(found) or 'none'}")
        if found[key] != each:
            raise ServingError(f"{key}: expected {each}, found {found[key]}")
    total = sum(each.size for each in expected.values())
    if size != total:
        raise ServingError(f"arrays: expected {total} bytes, as they are described, found {size}")


def read_arrays(body: bytes, types: ArrayTypes) -> dict[str, Shaped[np.ndarray, "..."]]:
    """The arrays of a request that was checked.

    Raises:
        ServingError: A number is infinite, or not one.
    """
    arrays, start = {}, 0
    for key, each in types.items():
        array = np.frombuffer(body, each.dtype, prod(each.shape), start).reshape(each.shape)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ServingError(f"{key}: entry {_first_not_finite(array)} is NaN or infinite")
        arrays[key], start = array, start + each.size
    return arrays


def _first_not_finite(array: Shaped[np.ndarray, "..."]) -> list[int]:
    return np.argwhere(~np.isfinite(array))[0].tolist()
