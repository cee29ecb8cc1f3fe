"""A comparison to read and to keep."""

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from mtil.evaluation.comparison import Comparison, Discordance, Side
from mtil.evaluation.paired import Difference
from mtil.evaluation.transfer import GroupChange, TransferResult

_COMPARISON = TypeAdapter(Comparison)


def print_comparison(comparison: Comparison) -> None:
    """Print the table to standard output."""
    Console().print(table(comparison))


def table(comparison: Comparison) -> Group:
    """The tasks, largest difference first, their mean, and what the intervals are over."""
    rows = Table(box=box.SIMPLE, show_footer=True, pad_edge=False, collapse_padding=True)
    a, b, mean = comparison.a.rates.mean, comparison.b.rates.mean, comparison.mean
    rows.add_column("task", "mean over these tasks", no_wrap=True)
    rows.add_column("A %", _percent(a.rate), justify="right")
    rows.add_column("B %", _percent(b.rate), justify="right")
    rows.add_column("A - B", _points(mean.difference), justify="right", no_wrap=True)
    rows.add_column("95% interval", _interval(mean), justify="right", no_wrap=True)
    if comparison.discordance:
        rows.add_column("A/B", _counts(comparison.discordance), justify="right", no_wrap=True)
    rows.add_column("p", _p(mean.p), justify="right")
    for task in sorted(comparison.tasks, key=lambda task: -abs(task.difference.difference)):
        rows.add_row(
            task.task,
            _percent(task.a),
            _percent(task.b),
            _points(task.difference.difference),
            _interval(task.difference),
            *([_counts(task.discordance)] if task.discordance else []),
            _p(task.adjusted_p),
        )
    return Group(rows, Text(words(comparison)))


def words(comparison: Comparison) -> str:
    """What was compared, and what the intervals are over."""
    how = comparison.a.protocols[0]
    lines = [
        _side("A", comparison.a),
        _side("B", comparison.b),
        f"{how.suite}, {how.episodes_per_task} episodes a task from the same placements (seed {how.seed}) for all; "
        f"at most {how.horizon} steps long.",
        f"Success rule: {how.success}.",
        _over(comparison),
    ]
    if (such := comparison.mean_of_such_tasks) is not None:
        lines.append(
            f"On tasks like these, over which the interval then is too: {_points(such.difference)} points, "
            f"95% interval {_interval(such)}, p {_p(such.p)}."
        )
    if comparison.transfer is not None:
        lines += _transfer(comparison.transfer)
    return "\n".join([*lines, _tests(comparison)])


def to_json(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values; rates in [0, 1], differences in [-1, 1]."""
    return _COMPARISON.dump_python(comparison, mode="json")


def _side(name: str, side: Side) -> str:
    rate, first = side.rates.mean, side.protocols[0]
    interval = f"{_percent(rate.low)} - {_percent(rate.high)}"
    seeds = f"seeds {', '.join(map(_percent, side.rates.seeds))}; " if len(side.files) > 1 else ""
    told = f", control: {first.control} task" if first.control else ""
    told += f", instructions of {first.instructions}" if first.instructions else ""
    told += f", {first.clips} clips of {first.videos or 'demonstrations held out'}" if first.clips else ""
    files = ", ".join(map(str, side.files))
    return f"{name}: {_percent(rate.rate)}% ({seeds}95% interval {interval}), told by {first.condition}{told}: {files}."


def _transfer(found: TransferResult) -> Iterator[str]:
    """What was gained and lost, each group of tasks in a line, and forgetting in one of its own."""
    after, before = found.after.upper(), "AB".replace(found.after.upper(), "")
    yield f"{_group(found.new)}: trained on by {after} alone, {_change(found.new, before, after)}."
    if found.known is None or found.forgetting is None:
        yield f"Forgetting: unknown; evaluate both on tasks that {before} was trained on, too."
        return
    yield f"{_group(found.known)}: trained on by both, {_change(found.known, before, after)}."
    lost = found.forgetting
    yield f"Forgetting, from {before} to {after}: {100 * lost.difference:.1f} points, 95% interval {_interval(lost)}."


def _group(group: GroupChange) -> str:
    count = len(group.tasks)
    return "1 task" if count == 1 else f"{count} tasks"


def _change(group: GroupChange, before: str, after: str) -> str:
    rates = [
        f"{name} {_percent(rate.rate)}% ({_percent(rate.low)} - {_percent(rate.high)})"
        for name, rate in ((before, group.before), (after, group.after))
    ]
    return f"{', '.join(rates)}; {_points(group.change.difference)} points, 95% interval {_interval(group.change)}"


def _over(comparison: Comparison) -> str:
    single = [name for name, side in (("A", comparison.a), ("B", comparison.b)) if len(side.files) == 1]
    if len(single) == 2:
        return "Intervals: over placements, for these two checkpoints; other seeds of their trainings may differ more."
    if single:
        other = "B" if single == ["A"] else "A"
        return (
            f"Intervals: over placements, and over {other}'s training seeds. {single[0]} is one training: how much "
            f"others like it differ is unknown, and in no interval."
        )
    return "Intervals: over placements and over training seeds, of which a few say little; hence their width."


def _tests(comparison: Comparison) -> str:
    if comparison.discordance:
        return (
            "A/B: placements at which only A, only B succeeded. p: McNemar's mid-p on these; "
            "of tasks, adjusted for their number (Holm)."
        )
    return "p: of so large a difference by chance; of tasks, adjusted for their number (Holm)."


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"


def _points(difference: float) -> str:
    return f"{round(100 * difference, 1) + 0.0:+.1f}"


def _interval(found: Difference) -> str:
    return f"{_points(found.low)}, {_points(found.high)}"


def _counts(found: Discordance) -> str:
    return f"{found.a_only}/{found.b_only}"


def _p(value: float) -> str:
    return "<.001" if value < 0.001 else f"{value:.3f}"
