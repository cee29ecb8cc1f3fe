"""Files put in place whole: no reader, and no power cut, ever finds half of one."""

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mtil.errors import OutputError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A hidden path in the same folder to write to; it becomes `path` if the block ends well, and is removed if not.

    Raises:
        OSError: The folder cannot be made or written to, or the disk is full.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_json(path: Path, values: Mapping[str, Any], *, what: str) -> None:
    """Write JSON values, replacing the file in one move.

    Args:
        path: Where to.
        values: What to write; NaN and infinities are no JSON.
        what: What it is, for the message.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        with replacing(path) as partial:
            partial.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the {what} cannot be written: {error.strerror}") from None


def check_writable(path: Path, what: str = "result") -> None:
    """Make the folder of a file to be written, a result unless it is said to be something else.

    Raises:
        OutputError: The file could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the {what} cannot be written: {error.strerror}") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the {what} cannot be written: expected a file in a folder that can be written to")
