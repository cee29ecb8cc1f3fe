"""Success of a policy over the seconds that its training has taken: measured, tabled, and where it reaches 95%.

Shared by the contestants of `time_to_success.py`, so that all are judged alike.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.evaluation.metrics import EvaluationResult, MeanResult, TaskResult

TARGET = 0.95
"""The mean success over tasks that is waited for."""


@dataclass(frozen=True)
class Snapshot:
    """Weights as they were at some moment of a training.

    Attributes:
        path: The file that holds them.
        step: Gradient steps taken by then.
        seconds: How long they took.
    """

    path: Path
    step: int
    seconds: float


@dataclass(frozen=True)
class Point:
    """How a snapshot fared."""

    step: int
    seconds: float
    mean: MeanResult
    tasks: tuple[TaskResult, ...]

    @property
    def arrived(self) -> bool:
        """Whether the target is reached, of as many episodes in every task."""
        return sum(task.successes for task in self.tasks) >= TARGET * sum(task.episodes for task in self.tasks)


def measure(snapshots: Iterable[Snapshot], evaluate: Callable[[Path], EvaluationResult]) -> Iterator[Point]:
    """Evaluate the snapshots, one after the other."""
    for snapshot in snapshots:
        result = evaluate(snapshot.path)
        yield Point(snapshot.step, snapshot.seconds, result.mean, result.tasks)


def first_arrival(points: Sequence[Point]) -> Point | None:
    """The first that reaches the target, be it by luck."""
    return next((point for point in points if point.arrived), None)


def lasting_arrival(points: Sequence[Point]) -> Point | None:
    """The first from which on all reach the target."""
    short = [index for index, point in enumerate(points) if not point.arrived]
    after = points[short[-1] + 1 :] if short else points
    return after[0] if after else None


def print_curve(title: str, points: Sequence[Point]) -> None:
    """Print every snapshot's row, and when the target was reached."""
    table = Table(box=box.MARKDOWN)
    for name in ("seconds", "step", "success %", "95% interval", "weakest task"):
        table.add_column(name, justify="right")
    for point in points:
        weakest = min(point.tasks, key=lambda task: task.rate)
        table.add_row(
            f"{point.seconds:.1f}",
            f"{point.step:,}",
            f"{100 * point.mean.rate:.1f}",
            f"{100 * point.mean.low:.1f} - {100 * point.mean.high:.1f}",
            f"{weakest.task} {100 * weakest.rate:.0f}",
        )
    Console(width=120).print(table)
    print(f"{title}: {_verdict(points)}", flush=True)


def _verdict(points: Sequence[Point]) -> str:
    first, lasting = first_arrival(points), lasting_arrival(points)
    if first is None:
        best = max(points, key=lambda point: point.mean.rate)
        return f"{TARGET:.0%} not reached; best {best.mean.rate:.1%} after {best.seconds:.1f} s (step {best.step:,})"
    kept = "not kept" if lasting is None else f"kept from {lasting.seconds:.1f} s on"
    return f"{TARGET:.0%} first reached after {first.seconds:.1f} s (step {first.step:,}), {kept}"
