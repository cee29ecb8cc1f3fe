"""Results of an evaluation, to read and to keep."""

import json
import os
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich import box
from rich.console import Console, Group
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from mtil.errors import CheckpointError, OutputError
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, MeanResult, Outcome, TaskResult
from mtil.files import replacing
from mtil.ranks import ALONE, Rank

_RESULT = TypeAdapter(EvaluationResult)


class EpisodeProgress:
    """A bar of episodes run and of those that succeeded, on standard error, so that a table can be piped without it.

    Args:
        total: Number of episodes.
        rank: Whose they are; of several ranks the first alone shows its bar.
    """

    def __init__(self, *, total: int, rank: Rank = ALONE) -> None:
        self._bar = Progress(
            TextColumn("evaluating" if rank.count == 1 else f"{rank} is evaluating"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[successes]} successes"),
            TimeRemainingColumn(),
            console=Console(stderr=True, quiet=not rank.first),
        )
        self._task = self._bar.add_task("evaluating", total=total, successes=0)
        self._successes = 0

    def __call__(self, outcome: Outcome) -> None:
        self._successes += outcome.success
        self._bar.update(self._task, advance=1, successes=self._successes)

    def __enter__(self) -> "EpisodeProgress":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()


def print_table(result: EvaluationResult) -> None:
    """Print the table to standard output."""
    Console().print(table(result))


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
        f"Success rule: {protocol.success}.\n"
        f"Condition: {protocol.condition}.\nCheckpoint: {protocol.checkpoint}.\n"
        f"Intervals: Wilson's; that of the mean at the tasks' effective sample size."
    )


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


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _interval(result: TaskResult | MeanResult) -> str:
    return f"{_percent(result.low)} - {_percent(result.high)}"


def _successes(tasks: tuple[TaskResult, ...]) -> str:
    return f"{sum(task.successes for task in tasks)}/{sum(task.episodes for task in tasks)}"


def _mean_length(tasks: tuple[TaskResult, ...]) -> float:
    return sum(task.mean_length for task in tasks) / len(tasks)
