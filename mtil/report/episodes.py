"""Episodes one by one: every one that failed, and some that did not, to look at and to run again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mtil.evaluation.metrics import Outcome
from mtil.evaluation.replay import replay_command
from mtil.report.films import Films, as_uri, chosen, films
from mtil.report.run import Run
from mtil.report.subject import Subject

Filming = Callable[[Run, Sequence[Outcome]], Films]


@dataclass(frozen=True)
class EpisodeView:
    """An episode: how it ended, in which run, the command that runs it again, and its film if there is one."""

    outcome: Outcome
    run: str
    command: str
    film: str | None


@dataclass(frozen=True)
class Episodes:
    """Episodes to look at, those of the hardest tasks first.

    Attributes:
        failed: Every one that failed.
        succeeded: One of each task whose failures were filmed.
    """

    failed: Sequence[EpisodeView]
    succeeded: Sequence[EpisodeView]

    @property
    def tasks(self) -> list[str]:
        """Those with a failure."""
        return list(dict.fromkeys(view.outcome.task for view in self.failed))


def episodes(subjects: Sequence[Subject], tasks: Sequence[str], *, count: int, filming: Filming = films) -> Episodes:
    """Every failed episode of every run, in the tasks' order.

    Args:
        subjects: What the report is about.
        tasks: Hardest first.
        count: Films of failures at most, over all runs; and as many of successes.
        filming: Makes films.
    """
    runs = [run for subject in subjects for run in subject.runs]
    shares = [count // len(runs) + (index < count % len(runs)) for index in range(len(runs))]
    failed, succeeded = [], []
    for run, share in zip(runs, shares, strict=True):
        lost, won = ([each for each in run.result.outcomes if each.success is ended] for ended in (False, True))
        to_film = chosen(lost, tasks, share)
        filmed = [task for task in tasks if any(each.task == task for each in to_film)] or list(tasks)
        firsts = chosen({each.task: each for each in reversed(won)}.values(), filmed, share)
        found = filming(run, [*to_film, *firsts]) if share else {}
        failed += [_view(run, each, found) for each in lost]
        succeeded += [_view(run, each, found) for each in firsts]
    order = {task: position for position, task in enumerate(tasks)}
    return Episodes(*(sorted(each, key=lambda view: _place(view, order)) for each in (failed, succeeded)))


def _view(run: Run, outcome: Outcome, found: Films) -> EpisodeView:
    path = found.get((outcome.task, outcome.episode))
    command = replay_command(run.result, outcome, checkpoint=run.checkpoint)
    return EpisodeView(outcome, run.name, command, None if path is None else as_uri(path))


def _place(view: EpisodeView, order: dict[str, int]) -> tuple[int, bool, str, int]:
    """Hardest tasks first, and of a task's episodes those with a film."""
    return order[view.outcome.task], view.film is None, view.run, view.outcome.episode
