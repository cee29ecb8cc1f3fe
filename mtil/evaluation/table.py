"""A result as a table to read in a terminal."""

from collections.abc import Sequence

from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mtil.evaluation.metrics import Control, EvaluationProtocol, EvaluationResult, MeanResult, TaskResult
from mtil.evaluation.sentences import SentenceResult, failing_sentences

_CONTROLS: dict[Control, str] = {
    "wrong": "the policy was told another task than the one that it was to do",
    "absent": "the policy was not told its task (z = 0)",
}

_ONE_CHECKPOINT = "Wilson's; that of the mean at the tasks' effective sample size"


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
    parts = [rows, Text(protocol(result.protocol))]
    if reruns := sum(outcome.reruns > 0 for outcome in result.outcomes):
        parts.append(Text(f"{reruns} episodes were run again because their environment process had died or hung."))
    if result.protocol.instructions is not None and (worst := failing_sentences(result.outcomes)):
        parts.append(_sentences(worst))
    return Group(*parts)


def protocol(protocol: EvaluationProtocol, *, intervals: str = _ONE_CHECKPOINT) -> str:
    """How the episodes were run, in words, so that nobody has to guess what a rate means.

    Args:
        protocol: Of the evaluation.
        intervals: What the intervals are, in words.
    """
    told = "" if protocol.instructions is None else f", with the sentences of {protocol.instructions}"
    if protocol.clips is not None:
        told += f", z the mean of {protocol.clips} clips of {protocol.videos or 'demonstrations held out'}"
    if protocol.condition == "goal":
        told += ", what is to be reached from the very placement of the episode"
    untrained = f"Not trained on: {', '.join(protocol.untrained)}.\n" if protocol.untrained else ""
    control = "" if protocol.control is None else f"CONTROL: {_CONTROLS[protocol.control]}.\n"
    return (
        f"{control}{protocol.suite}, {_episodes(protocol)}, each from a held-out placement "
        f"(seed {protocol.seed} of a random stream that collection never draws from) and at most {protocol.horizon} "
        f"steps long.\n"
        f"Success rule: {protocol.success}.\n"
        f"Condition: {protocol.condition}{told}.\n{untrained}Checkpoint: {protocol.checkpoint}.\n"
        f"Intervals: {intervals}."
    )


def _episodes(protocol: EvaluationProtocol) -> str:
    if protocol.replay is not None:
        return f"episode {protocol.replay} of each task alone"
    return f"{protocol.episodes_per_task} episodes a task"


def _sentences(worst: Sequence[SentenceResult]) -> Table:
    rows = Table(box=box.SIMPLE, pad_edge=False, title="sentences that fail most", title_justify="left")
    for column in ("task", "sentence", "successes"):
        rows.add_column(column, justify="right" if column == "successes" else "left")
    for each in worst:
        rows.add_row(each.task, Text(each.sentence), f"{each.successes}/{each.episodes}")
    return rows


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _interval(result: TaskResult | MeanResult) -> str:
    return f"{_percent(result.low)} - {_percent(result.high)}"


def _successes(tasks: tuple[TaskResult, ...]) -> str:
    return f"{sum(task.successes for task in tasks)}/{sum(task.episodes for task in tasks)}"


def _mean_length(tasks: tuple[TaskResult, ...]) -> float:
    return sum(task.mean_length for task in tasks) / len(tasks)
