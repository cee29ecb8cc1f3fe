"""Success of every task, those hardest for the policies first."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtil.evaluation.metrics import TaskResult
from mtil.report.subject import Subject


@dataclass(frozen=True)
class SuccessRow:
    """A task and its success under each subject; None where a subject was not evaluated in it."""

    task: str
    cells: tuple[TaskResult | None, ...]

    @property
    def rate(self) -> float:
        """Mean over the subjects."""
        found = [cell.rate for cell in self.cells if cell is not None]
        return sum(found) / len(found)


def success_rows(subjects: Sequence[Subject]) -> list[SuccessRow]:
    """A row for every task that any subject was evaluated in, hardest first."""
    measured = [subject.rates.tasks for subject in subjects]
    tasks = dict.fromkeys(task for each in measured for task in each)
    rows = [SuccessRow(task, tuple(each.get(task) for each in measured)) for task in tasks]
    return sorted(rows, key=lambda row: (row.rate, row.task))
