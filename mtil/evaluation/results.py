"""Results on disk: a run keeps those of its checkpoints in `RUN/evaluation/*.json`."""

from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mtil import files
from mtil.errors import CheckpointError
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult
from mtil.sim.base import is_file

FOLDER = "evaluation"  # in a run directory

_RESULT = TypeAdapter(EvaluationResult)


def to_json(result: EvaluationResult) -> dict[str, Any]:
    """The result as JSON values: `protocol`, `tasks` and `mean`; rates in [0, 1]."""
    return _RESULT.dump_python(result, mode="json")


def write_json(path: Path, result: EvaluationResult) -> None:
    """Write the result, replacing the file in one move.

    Raises:
        OutputError: The file cannot be written.
    """
    files.write_json(path, to_json(result), what="result")


def result_path(run: Path, protocol: EvaluationProtocol, digest: str) -> Path:
    """Where the result of an evaluation belongs in a run directory.

    Args:
        run: The run directory.
        protocol: How the episodes are run.
        digest: Of everything that decides their outcomes.
    """
    kind = protocol.condition if protocol.control is None else f"{protocol.condition}-{protocol.control}"
    suite = Path(protocol.suite).stem if is_file(protocol.suite) else protocol.suite
    name = f"{suite}_{kind}_seed-{protocol.seed}_step-{protocol.step}_{digest[:8]}.json"
    return run / FOLDER / name.replace("/", "-")


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


def results_of(run: Path) -> dict[Path, EvaluationResult]:
    """The results in a run directory, by file, sorted by its name; none if the run was never evaluated.

    Raises:
        CheckpointError: There is no such directory, or a file in it cannot be read or holds something else.
    """
    if not run.is_dir():
        raise CheckpointError(f"{run}: no such run directory")
    return {path: _read_own(path) for path in sorted((run / FOLDER).glob("*.json"))}


def _read_own(path: Path) -> EvaluationResult:
    try:
        return read_json(path)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; a run's evaluation folder holds nothing but its results: move the file elsewhere, and if it was "
            "a result, evaluate again"
        ) from None
