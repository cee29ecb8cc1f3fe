"""Changes to what a table holds: never to a value that nothing else tells, so that none may pass unseen."""

import io
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_KINDS = (pa.int8(), pa.int16(), pa.int32(), pa.uint64(), pa.float64(), pa.bool_(), pa.string(), pa.binary())
_NUMBERS = (-1, 0, 1, 2, 7, 2**31, 2**62, -(2**63))


def edited(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A file whose table is changed, written anew; and what was done, in words."""
    table, words = changed(pq.read_table(io.BytesIO(content)), rng)
    how: dict[str, Any] = {
        "compression": str(rng.choice(["none", "snappy", "gzip", "zstd"])),
        "row_group_size": int(rng.choice([1, 2, 1000])),
        "use_dictionary": bool(rng.random() < 0.5),
        "data_page_version": str(rng.choice(["1.0", "2.0"])),
    }
    written = io.BytesIO()
    pq.write_table(table, written, **how)
    return written.getvalue(), f"{words} (compression {how['compression']})"


def changed(table: pa.Table, rng: np.random.Generator) -> tuple[pa.Table, str]:
    """A table that is another, and how, in words."""
    number = int(rng.integers(len(table.column_names)))
    edit = _EDITS[int(rng.integers(len(_EDITS)))]
    return edit(table, number, rng)


def _unchanged(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    return table, "written anew"


def _cast(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    column, kind = table.column(number), _KINDS[int(rng.integers(len(_KINDS)))]
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type):
        kind = pa.large_list(column.type.value_type) if rng.random() < 0.5 else pa.list_(kind)
    try:
        return _with(table, number, column.cast(kind, safe=False)), f"{table.column_names[number]} as {kind}"
    except pa.ArrowException:
        nothing = pa.array([None] * len(table), kind)
        return _with(table, number, nothing), f"{table.column_names[number]} as {kind}, empty"


def _null(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    values, at = table.column(number).to_pylist(), int(rng.integers(len(table)))
    values[at] = None
    kind = table.column(number).type
    return _with(table, number, pa.array(values, kind)), f"{table.column_names[number]}: none in row {at}"


def _number(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    """Another number in a column that tells places, lengths, times or order."""
    told = [i for i, field in enumerate(table.schema) if pa.types.is_integer(field.type) or "timestamp" in field.name]
    told = [i for i in told if not table.column_names[i].startswith(("stats/", "meta/"))]
    number = told[int(rng.integers(len(told)))]
    values, at = table.column(number).to_pylist(), int(rng.integers(len(table)))
    whole = pa.types.is_integer(table.column(number).type)
    far, step = int(rng.choice(_NUMBERS)), int(rng.choice([-1, 1]))
    if rng.random() < 0.5:
        values[at] += step if whole else 0.1 * step
    else:
        values[at] = far if whole else 1.5 * far
    words = f"{table.column_names[number]} = {values[at]} in row {at}"
    return _with(table, number, pa.array(values, table.column(number).type)), words


def _rows(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    count = len(table)
    ways = {
        "shuffled": rng.permutation(count),
        "a row less": np.delete(np.arange(count), rng.integers(count)),
        "a row twice": np.sort(np.append(np.arange(count), rng.integers(count))),
        "no rows": np.arange(0),
        "all rows twice": np.tile(np.arange(count), 2),
        "a row for another": np.where(np.arange(count) == rng.integers(count), rng.integers(count), np.arange(count)),
    }
    words = list(ways)[int(rng.integers(len(ways)))]
    return table.take(pa.array(ways[words], pa.int64())), words


def _columns(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    names, other = list(table.column_names), int(rng.integers(len(table.column_names)))
    match int(rng.integers(5)):
        case 0:
            return table.remove_column(number), f"without {names[number]}"
        case 1:
            return table.append_column(names[number], table.column(other)), f"two columns {names[number]}"
        case 2:
            names[number] += "x"
            return table.rename_columns(names), f"{names[number]} renamed"
        case 3:
            order = rng.permutation(len(names)).tolist()
            return table.select(order), "columns in another order"
        case _:
            words = f"{names[number]} and {names[other]} swapped"
            names[number], names[other] = names[other], names[number]
            return table.rename_columns(names), words


def _widths(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    """Too many numbers, or too few, in a row of lists; a list where there was none."""
    column = table.column(number)
    values, at = column.to_pylist(), int(rng.integers(len(table)))
    if not isinstance(values[at], list):
        lists = pa.array([[value] for value in values], pa.list_(column.type))
        return _with(table, number, lists), f"{table.column_names[number]} in lists"
    values[at] = values[at][:-1] if rng.random() < 0.5 else values[at] + values[at][:1]
    kind = pa.list_(column.type.value_type)
    return _with(table, number, pa.array(values, kind)), f"{table.column_names[number]}: {len(values[at])} in row {at}"


def _picture(table: pa.Table, number: int, rng: np.random.Generator) -> tuple[pa.Table, str]:
    """Damage to a picture, whose checksums tell; to a table without any, one row for another."""
    found = [i for i, field in enumerate(table.schema) if pa.types.is_struct(field.type)]
    if not found:
        return _rows(table, number, rng)
    values, at = table.column(found[0]).to_pylist(), int(rng.integers(len(table)))
    content = bytearray(values[at]["bytes"])
    place = int(rng.integers(len(content)))
    content[place] ^= 1 << int(rng.integers(8))
    values[at]["bytes"] = bytes(content)
    changed = pa.array(values, table.column(found[0]).type)
    return _with(table, found[0], changed), f"a bit of the picture in row {at}, at {place}"


_EDITS = (
    _unchanged,
    _cast,
    _cast,
    _null,
    _null,
    _number,
    _number,
    _number,
    _rows,
    _rows,
    _columns,
    _columns,
    _widths,
    _picture,
)


def _with(table: pa.Table, number: int, column: Any) -> pa.Table:
    return table.set_column(number, table.column_names[number], column)
