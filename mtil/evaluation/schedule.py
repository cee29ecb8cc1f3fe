"""Which trial a slot runs next: such that tasks are seldom compiled, and no slot has much to do at the end."""

from collections import Counter, defaultdict, deque
from collections.abc import Container, Iterable
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from mtil.types import CameraView

WORTH_COMPILING = (
    8  # trials that wait; it takes a worker the time of about five, and each environment that of half a one
)


@dataclass(frozen=True)
class Trial:
    """An episode to be run: where it starts, what tells the policy its task, and where its film goes.

    Attributes:
        task: Name of the task.
        episode: Its position among the task's episodes.
        placement: Seed of its beginning.
        told: What tells the policy the task, in words.
        z: The same as an embedding.
        video: File of a film.
        called: What the simulator calls the task, if otherwise.
        views: What it has to show.
    """

    task: str
    episode: int
    placement: int
    told: str
    z: Float[Tensor, " Z"]
    video: Path | None = None
    called: str | None = None
    views: tuple[CameraView, ...] = ()


class Schedule:
    """Trials that wait for a slot.

    A slot stays with a task for as long as trials of it wait. Then it goes to a task that has no slot yet, or helps
    where most wait for each slot: preferably at a task that its worker has compiled already, so that each is compiled
    in one worker for as long as all have enough to do.

    Args:
        trials: What is to be run; those of a task are begun in their order.
        workers: Slot s belongs to worker s modulo their number.
    """

    def __init__(self, trials: Iterable[Trial], *, workers: int) -> None:
        self._workers = workers
        self._compiled: dict[int, set[str]] = defaultdict(set)
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
        compiled = self._compiled[slot % self._workers]
        waiting = [task for task, trials in self._waiting.items() if trials and self._worth(task, compiled)]
        new = max(waiting, key=lambda task: (not self._slots[task], task in compiled, self._need(task)), default=None)
        if new is not None:
            compiled.add(new)
            self._slots[new] += 1
            self._task[slot] = new
        return new

    def _worth(self, task: str, compiled: Container[str]) -> bool:
        """Whether a slot should go there; one at least must."""
        enough = self._need(task) >= 1 if task in compiled else len(self._waiting[task]) >= WORTH_COMPILING
        return enough or not self._slots[task]

    def _need(self, task: str) -> float:
        """Trials that wait for each slot at the task, another one included."""
        return len(self._waiting[task]) / (self._slots[task] + 1)
