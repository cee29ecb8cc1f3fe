"""Results on disk."""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mtil.errors import CheckpointError, OutputError
from mtil.evaluation.metrics import EvaluationResult
from mtil.files import replacing

_RESULT = TypeAdapter(EvaluationResult)


def to_json(result: EvaluationResult) -> dict[str, Any]:
    """The result as JSON values: `protocol`, `tasks` and `mean`; rates in [0, 1]."""
    return _RESULT.dump_python(result, mode="json")


def write_json(path: Path, result: EvaluationResult) -> None:
    """Write the result, replacing the file in one move.

    Raises:
        OutputError: The file cannot be written.
    """
    try:
        with replacing(path) as partial:
            partial.write_text(json.dumps(to_json(result), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: the result cannot be written: {error.strerror}") from None


def check_writable(path: Path) -> None:
    """Make the folder of a result to be written.

    Raises:
        OutputError: The file could not be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: the result cannot be written: {error.strerror}") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path}: the result cannot be written: expected a file in a folder that can be written to")


def read_json(path: Path) -> EvaluationResult:
    """Read what `write_json` wrote.

    Raises:
        CheckpointError: The file cannot be read, or holds something else.
    """
    try:
        return _RESULT.validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path}: the result cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "file"
        raise CheckpointError(f"{path}: not a result of an evaluation: {key}: {first['msg']}") from None
