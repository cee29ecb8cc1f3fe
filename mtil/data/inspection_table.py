"""An inspection as a person reads it."""

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mtil.data.inspection import Inspection


def print_inspection(found: Inspection, console: Console) -> None:
    """Print tasks, features, notes and defects."""
    console.print(_tasks(found), _features(found))
    for note in found.notes:
        console.print(f"note: {escape(f'{note.file}: {note.key}: {note.message}')}", soft_wrap=True, highlight=False)
    for defect in found.defects:
        console.print(f"[red]defect:[/red] {escape(str(defect))}", soft_wrap=True, highlight=False)
    count = len(found.defects)
    console.print(f"{count} defects" if count else "no defects", style="red" if count else "green")


def _tasks(found: Inspection) -> Table:
    rows = Table(box=box.SIMPLE, show_footer=True, pad_edge=False)
    rows.add_column("task", f"{len(found.tasks)} tasks")
    rows.add_column("demos", str(sum(task.demos for task in found.tasks)), justify="right")
    rows.add_column("steps", str(sum(task.steps for task in found.tasks)), justify="right")
    rows.add_column("instructions")
    for summary in found.tasks:
        first, more = summary.task.instructions[:1], len(summary.task.instructions) - 1
        told = escape("".join(first) or "-") + (f" (+{more})" if more > 0 else "")
        rows.add_row(escape(summary.task.name), str(summary.demos), str(summary.steps), told)
    return rows


def _features(found: Inspection) -> Table:
    rows = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("feature", "kind", "shape", "dtype"):
        rows.add_column(name)
    for key, spec in found.features.items():
        rows.add_row(escape(key), spec.kind, str(spec.shape), spec.dtype)
    return rows
