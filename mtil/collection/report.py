"""Collecting as a person sees it: a progress bar, then what became of each task."""

from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtil.collection.collect import collect
from mtil.collection.progress import progress_bar
from mtil.collection.settings import CollectionReport, CollectionSettings
from mtil.ranks import this_rank
from mtil.sim.base import load


def collect_and_report(
    settings: CollectionSettings, out: Path, *, tasks: Sequence[str] | None, workers: int | None, console: Console
) -> None:
    """Collect demonstrations, and show progress and a table. Arguments and errors are those of `collect`.

    Of several ranks the first shows what all of them did; the others' consoles should be quiet.
    """
    rank = this_rank()
    count = len(load(settings.suite).tasks() if tasks is None else tasks)
    if rank.count > 1:
        console.print(f"{rank.count} ranks share the {count} tasks, and must share the folder [bold]{out}[/bold]")
    bar = progress_bar(episodes=count * settings.episodes_per_task, console=Console(stderr=True, quiet=console.quiet))
    with bar as progress:
        report = collect(settings, out, tasks=tasks, workers=workers, rank=rank, progress=progress)
    console.print(table(report))
    console.print(f"demonstrations: [bold]{out}[/bold]")


def table(report: CollectionReport) -> Table:
    """Demos, attempts, failures and steps of every task."""
    rows = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    rows.add_column("task", "all", no_wrap=True)
    for name in ("demos", "attempts", "failures", "steps"):
        rows.add_column(name, str(sum(getattr(task, name) for task in report.tasks)), justify="right")
    for task in report.tasks:
        rows.add_row(escape(task.task), str(task.demos), str(task.attempts), str(task.failures), str(task.steps))
    return rows
