"""Which trial a slot runs next: such that environments are seldom made, and no slot has much to do at the end."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

WORTH_MOVING = 4  # trials; making an environment takes the time of about three episodes


@dataclass(frozen=True)
class Trial:
    """An episode to be run: where it starts, what tells the policy its task, and where its film goes."""

    task: str
    episode: int
    placement: int
    told: str
    z: Float[Tensor, " Z"]
    video: Path | None = None


class Schedule:
    """Trials that wait for a slot.

    A slot stays with a task for as long as trials of it wait, since making an environment is slow. Then it goes to a
    task that has no slot yet, or where most wait for each slot: those of short episodes help those of long ones.

    Args:
        trials: What is to be run; those of a task are begun in their order.
    """

    def __init__(self, trials: Iterable[Trial]) -> None:
        self._waiting: dict[str, deque[Trial]] = defaultdict(deque)
        for trial in trials:
            self._waiting[trial.task].append(trial)
        self._slots: Counter[str] = Counter()
        self._task: dict[int, str] = {}

    def next(self, slot: int) -> Trial | None:
        """The trial that a slot that has none is to run; None: it is not needed any more."""
        task = self._task.get(slot)
        if task is None or not self._waiting[task]:
            task = self._move(slot, task)
        return None if task is None else self._waiting[task].popleft()

    def _move(self, slot: int, old: str | None) -> str | None:
        if old is not None:
            self._slots[old] -= 1
            del self._task[slot]
        waiting = [task for task, trials in self._waiting.items() if trials]
        new = max(waiting, key=lambda task: (not self._slots[task], self._need(task)), default=None)
        if new is None or (self._slots[new] and self._need(new) < WORTH_MOVING):
            return None
        self._slots[new] += 1
        self._task[slot] = new
        return new

    def _need(self, task: str) -> float:
        """Trials that wait for each slot at the task, another one included."""
        return len(self._waiting[task]) / (self._slots[task] + 1)
