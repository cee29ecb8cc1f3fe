"""Columns of Arrow tables as arrays.

Legend: N rows.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped

from mtil.errors import DatasetError


def dense(column: pa.Array | pa.ChunkedArray) -> Shaped[np.ndarray, "N ..."]:
    """Numbers, or lists of them that are all as long, however deep.

    Raises:
        DatasetError: A value is missing, lists differ in length, or there is something else in them.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    shape = [len(array)]
    while True:
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        _check_whole(array)
        if not _is_list(array.type):
            break
        lengths = array.value_lengths().to_numpy(zero_copy_only=False)
        if len(lengths) and (lengths != lengths[0]).any():
            odd = int(np.flatnonzero(lengths != lengths[0])[0])
            raise DatasetError(f"expected {lengths[0]} values as in the first row, found {lengths[odd]} in row {odd}")
        shape.append(int(lengths[0]) if len(lengths) else 0)
        array = array.flatten()
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        raise DatasetError(f"expected numbers, found {array.type}")
    return array.to_numpy(zero_copy_only=False).reshape(shape)


def one_each(column: pa.Array | pa.ChunkedArray, name: str) -> Shaped[np.ndarray, " N"]:
    """Numbers, or lists of one.

    Raises:
        DatasetError: They are something else; the message begins with the name.
    """
    try:
        found = dense(column)
    except DatasetError as error:
        raise DatasetError(f"{name}: {error}") from None
    if found.shape[1:] not in ((), (1,)):
        raise DatasetError(f"{name}: expected a number in each row, found lists of shape {found.shape[1:]}")
    return found.reshape(len(found))


def lists_of(column: pa.Array | pa.ChunkedArray) -> list[pa.Array]:
    """The values of each row's list.

    Raises:
        DatasetError: A row has none.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    _check_whole(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if not _is_list(array.type):
        raise DatasetError(f"expected lists, found {array.type}")
    return [scalar.values for scalar in array]


def picture_bytes(cell: Any) -> bytes:
    """A picture as `datasets.Image` stores it: its bytes, or where there is a file of it.

    Raises:
        DatasetError: It is neither.
    """
    if isinstance(cell, dict):
        content, path = cell.get("bytes"), cell.get("path")
        if isinstance(content, bytes) and content:
            return content
        if isinstance(path, str) and Path(path).is_file():
            return Path(path).read_bytes()
    raise DatasetError(f"expected the bytes of a picture, or its file, found {str(cell)[:60]}")


def _check_whole(array: pa.Array) -> None:
    if array.null_count:
        row = int(np.flatnonzero(array.is_null().to_numpy(zero_copy_only=False))[0])
        raise DatasetError(f"row {row}: expected a value, found none")


def _is_list(stored: pa.DataType) -> bool:
    return pa.types.is_list(stored) or pa.types.is_large_list(stored) or pa.types.is_fixed_size_list(stored)
