"""Columns of parquet files as arrays of numbers.

Legend: N rows, D dimensions.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Shaped

from mtil.errors import DatasetError


def open_parquet(path: Path) -> pq.ParquetFile:
    """A parquet file, its checksums looked at where it has any.

    Raises:
        DatasetError: It has no end.
        OSError: It is missing, or cannot be read.
    """
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        if "footer" in str(error) or "magic bytes" in str(error) or "file size is" in str(error):
            hint = "its writer was stopped before it was finished, or it was copied in part"
            raise DatasetError(f"expected a parquet file with a footer, found none: {hint}") from None
        raise


def read_table(path: Path, names: Iterable[str]) -> pa.Table:
    """Some columns of a file.

    Raises:
        DatasetError: One is not there, or the file has no end.
        pyarrow.ArrowException: The file is damaged.
        OSError: It cannot be read.
    """
    with open_parquet(path) as file:
        present = file.schema_arrow.names
        for name in names:
            if name not in present:
                raise DatasetError(f"expected a column {name!r}, found {', '.join(present)}")
        return file.read(columns=list(names), use_threads=False)


def stored_kind(column: pa.DataType) -> str:
    """What the numbers in a column, or in its lists, are: NumPy's letter for their kind, "i" also for unsigned ones."""
    lists = pa.types.is_list(column) or pa.types.is_large_list(column) or pa.types.is_fixed_size_list(column)
    return np.dtype((column.value_type if lists else column).to_pandas_dtype()).kind.replace("u", "i")


def numbers(table: pa.Table, name: str, width: int | None = None) -> Shaped[np.ndarray, "N ..."]:
    """A column of numbers (N,), or of as many in each row (N, D).

    Args:
        table: Which holds it.
        name: Of the column.
        width: D; None: one number a row.

    Raises:
        DatasetError: It holds something else.
    """
    column = table[name].combine_chunks()
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    column.validate(full=True)
    if column.null_count:
        raise DatasetError(f"{name}: expected a value in each row, found {column.null_count} empty ones")
    if width is None:
        return _plain(name, column)
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type) or pa.types.is_fixed_size_list(column.type):
        lengths = column.value_lengths().to_numpy(zero_copy_only=False)
        if (lengths != width).any():
            odd = int(lengths[lengths != width][0])
            raise DatasetError(f"{name}: expected {width} numbers in each row, found {odd}")
        return _plain(name, column.flatten()).reshape(len(column), width)
    if width == 1:
        return _plain(name, column)[:, None]
    raise DatasetError(f"{name}: expected {width} numbers in each row, found {column.type}")


def strings(table: pa.Table, name: str) -> list[str]:
    """A column of strings.

    Raises:
        DatasetError: It holds something else.
    """
    values = table[name].to_pylist()
    for value in values:
        if not isinstance(value, str):
            raise DatasetError(f"{name}: expected a string in each row, found {str(value)[:40]!r}")
    return values


def groups_between(file: pq.ParquetFile, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """The groups that some rows lie in: number, first row and rows of each."""
    first = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if first < stop and first + rows > start:
            yield group, first, rows
        first += rows


def _plain(name: str, column: pa.Array) -> Shaped[np.ndarray, " N"]:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)) or column.null_count:
        raise DatasetError(f"{name}: expected numbers, found {kind}{' with empty ones' if column.null_count else ''}")
    return column.to_numpy(zero_copy_only=False)
