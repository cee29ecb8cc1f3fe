"""Results of an evaluation, to read and to keep."""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from mtil.errors import CheckpointError, OutputError
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, MeanResult, TaskResult

_RESULT = TypeAdapter(EvaluationResult)


def table(result: EvaluationResult) -> Group:
    """The tasks' success rates, their mean, and how they were measured, for a terminal or a text file."""
    rows = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    rows.add_column("task", "mean over tasks", no_wrap=True)
    rows.add_column("successes", _successes(result.tasks), justify="right")
    rows.add_column("rate %", _percent(result.mean.rate), justify="right")
    rows.add_column("95% interval", _interval(result.mean), justify="right")
    rows.add_column("mean length", f"{_mean_length(result.tasks):.1f}", justify="right")
    for task in result.tasks:
        counts = f"{task.successes}/{task.episodes}"
        rows.add_row(task.task, counts, _percent(task.rate), _interval(task), f"{task.mean_length:.1f}")
    return Group(rows, Text(protocol(result.protocol)))


def protocol(protocol: EvaluationProtocol) -> str:
    """How the episodes were run, in words, so that nobody has to guess what a rate means."""
    return (
        f"{protocol.suite}, {protocol.episodes_per_task} episodes a task, each from a held-out placement "
        f"(seed {protocol.seed} of a random stream that collection never draws from) and at most {protocol.horizon} "
        f"steps long.\n"
        f"Success: {protocol.success}.\n"
        f"Condition: {protocol.condition}. Checkpoint: {protocol.checkpoint}.\n"
        f"Intervals: Wilson's; that of the mean at the tasks' effective sample size."
    )


def to_json(result: EvaluationResult) -> dict[str, Any]:
    """The result as JSON values: `protocol`, `tasks` and `mean`; rates in [0, 1]."""
    return _RESULT.dump_python(result, mode="json")


def write_json(result: EvaluationResult, path: Path) -> None:
    """Write the result, replacing the file in one move.

    Raises:
        OutputError: The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(to_json(result), indent=2) + "\n", encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"{path}: the result cannot be written: {error.strerror}") from None


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


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _interval(result: TaskResult | MeanResult) -> str:
    return f"{_percent(result.low)} - {_percent(result.high)}"


def _successes(tasks: tuple[TaskResult, ...]) -> str:
    return f"{sum(task.successes for task in tasks)}/{sum(task.episodes for task in tasks)}"


def _mean_length(tasks: tuple[TaskResult, ...]) -> float:
    return sum(task.mean_length for task in tasks) / len(tasks)
