"""A progress bar for collection."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtil.collection.settings import TaskReport


@contextmanager
def progress_bar(*, episodes: int, console: Console | None = None) -> Iterator[Callable[[TaskReport], None]]:
    """Show demonstrations done of all, and failures; yields what `collect` takes as `progress`.

    Args:
        episodes: Successful episodes wanted, of all tasks together.
        console: Where to show it; by default standard error.
    """
    columns = (
        TextColumn("collecting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("demos, {task.fields[failures]} failed"),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    reports: dict[str, TaskReport] = {}
    with Progress(*columns, console=console or Console(stderr=True)) as bar:
        row = bar.add_task("", total=episodes, failures=0)

        def show(report: TaskReport) -> None:
            reports[report.task] = report
            demos = sum(each.demos for each in reports.values())
            failures = sum(each.failures for each in reports.values())
            bar.update(row, completed=demos, failures=failures, description=report.task)

        yield show
