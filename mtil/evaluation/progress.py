"""How far an evaluation has come."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtil.evaluation.metrics import Outcome
from mtil.ranks import ALONE, Rank


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
