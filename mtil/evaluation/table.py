"""A result as a table to read in a terminal."""

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, MeanResult, TaskResult


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


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _interval(result: TaskResult | MeanResult) -> str:
    return f"{_percent(result.low)} - {_percent(result.high)}"


def _successes(tasks: tuple[TaskResult, ...]) -> str:
    return f"{sum(task.successes for task in tasks)}/{sum(task.episodes for task in tasks)}"


def _mean_length(tasks: tuple[TaskResult, ...]) -> float:
    return sum(task.mean_length for task in tasks) / len(tasks)
