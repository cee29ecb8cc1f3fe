"""A policy at work in a simulator: every task, from placements that no demonstration was collected at.

Legend: A action dimensions, Z width of z.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.errors import OutputError, SimulatorError
from mtil.evaluation.metrics import Outcome
from mtil.evaluation.schedule import Schedule, Trial
from mtil.policies.actor import BATCH
from mtil.sim.slot import Reset, Transition
from mtil.sim.workers import PATIENCE, EnvironmentPool, Lost

__all__ = ["Actor", "Observation", "Recording", "Trial", "ended", "roll_out", "slots_for"]

LOSSES = 3  # of its worker by an episode that was being stepped, after which it is held to be the cause

Observation = Mapping[str, Shaped[np.ndarray, "..."]]


@runtime_checkable
class Actor(Protocol):
    """What acts in the slots. What it does must depend on the episode alone: not on the slot, nor on other slots."""

    @property
    def slots(self) -> int: ...

    def reset(self, row: int, z: Float[Tensor, " Z"], task: str) -> None: ...

    def act(self, observations: Sequence[Observation | None]) -> Sequence[Float[np.ndarray, " A"] | None]: ...


@dataclass(frozen=True)
class Recording:
    """Films of episodes.

    Attributes:
        folder: Made if it does not exist.
        camera: A camera that the simulator has.
        image_size: Height and width in pixels.
    """

    folder: Path
    camera: str
    image_size: int = 240


def slots_for(workers: int) -> int:
    """Slots that keep so many workers busy, each with a full batch of the policy; two with one that is alone.

    More would be slower: each has an environment to be made, which is stepped with what it needs out of the cache, and
    as the last episodes end the policy decides for fewer and fewer.
    """
    return BATCH * _gangs(workers)


def roll_out(
    actor: Actor,
    trials: Sequence[Trial],
    *,
    simulator: str,
    workers: int,
    recording: Recording | None = None,
    patience: float = PATIENCE,
) -> Iterator[Outcome]:
    """Run trials, as many at once as the actor has slots; outcomes come in the order in which episodes end.

    An episode whose worker dies or hangs is run again from its beginning. Results depend neither on that, nor on which
    slot runs which trial, which is a matter of time.

    Args:
        actor: Decides in every slot.
        trials: What is to be run.
        simulator: Name of the suite.
        workers: Processes that the environments run in.
        recording: What films show.
        patience: Seconds after which a worker that does not answer is held to hang.

    Raises:
        SimulatorError: An environment fails, or has killed its worker, or made it hang, 3 times.
        OutputError: A film cannot be written.
    """
    if not trials:
        return
    if recording is not None:
        _make_folder(recording.folder)
    workers = min(workers, len(trials), actor.slots)
    film = {"camera": recording.camera, "image_size": recording.image_size} if recording else {}
    with EnvironmentPool(simulator, workers=workers, patience=patience, **film) as pool:
        yield from _Rollout(actor, Schedule(trials, workers=workers), pool, workers=workers).run()


def ended(trial: Trial, *, success: bool, length: int, reruns: int = 0) -> Outcome:
    """How a trial ended."""
    return Outcome(
        task=trial.task,
        episode=trial.episode,
        placement=trial.placement,
        told=trial.told,
        success=success,
        length=length,
        reruns=reruns,
    )


def _gangs(workers: int) -> int:
    """A worker alone has two, that it need not wait for the policy; of several, the others work while it decides."""
    return max(2, workers)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}") from None


@dataclass(frozen=True)
class _Attempt:
    """A trial under way: how often it was begun before, and in how many of these it may have cost its worker."""

    trial: Trial
    reruns: int = 0
    suspicions: int = 0

    def again(self, loss: Lost) -> "_Attempt":
        """The next attempt.

        Raises:
            SimulatorError: There have been enough.
        """
        suspicions = self.suspicions + loss.suspect
        if suspicions == LOSSES:
            raise SimulatorError(
                f"{self.trial.task}: episode {self.trial.episode} (placement {self.trial.placement}) has cost its "
                f"environment process {LOSSES} times, which in the end {loss.how}"
            )
        return replace(self, reruns=self.reruns + 1, suspicions=suspicions)


class _Gang:
    """Slots that step together, all in one worker, while the policy decides for another gang."""

    def __init__(self) -> None:
        self.seen: dict[int, Observation] = {}
        self.stepping: set[int] = set()

    def forget(self, slot: int) -> None:
        self.seen.pop(slot, None)
        self.stepping.discard(slot)


class _Rollout:
    """Every slot's episode under way.

    Slot s belongs to gang s modulo their number, and so to worker s modulo theirs.
    """

    def __init__(self, actor: Actor, schedule: Schedule, pool: EnvironmentPool, *, workers: int) -> None:
        self._actor, self._schedule, self._pool = actor, schedule, pool
        self._gangs = [_Gang() for _ in range(_gangs(workers))]
        self._running: dict[int, _Attempt] = {}

    def run(self) -> Iterator[Outcome]:
        for slot in range(self._actor.slots):
            self._begin_next(slot)
        while self._running:
            for slot, answer in self._pool.receive().items():
                self._gang(slot).forget(slot)
                if isinstance(answer, Lost):
                    self._begin(slot, self._running[slot].again(answer))
                elif answer.done:
                    yield self._outcome(slot, answer)
                    self._begin_next(slot)
                else:
                    self._gang(slot).seen[slot] = answer.observation
            for gang in self._gangs:
                self._act(gang)

    def _gang(self, slot: int) -> _Gang:
        return self._gangs[slot % len(self._gangs)]

    def _begin_next(self, slot: int) -> None:
        trial = self._schedule.next(slot)
        if trial is not None:
            self._begin(slot, _Attempt(trial))

    # By itself, so that neither the other slots' steps wait for it, nor is patience lost with many that are slow.
    def _begin(self, slot: int, attempt: _Attempt) -> None:
        trial = attempt.trial
        self._running[slot] = attempt
        self._actor.reset(slot, trial.z, trial.task)
        reset = Reset(trial.called or trial.task, trial.placement, video=trial.video, views=trial.views)
        self._pool.send({slot: reset})

    def _outcome(self, slot: int, last: Transition) -> Outcome:
        attempt = self._running.pop(slot)
        return ended(attempt.trial, success=last.success, length=last.steps, reruns=attempt.reruns)

    def _act(self, gang: _Gang) -> None:
        """Step a gang; episodes that begin while it steps wait, since deciding for few costs as much as for many."""
        if gang.stepping or not gang.seen:
            return
        actions = self._actor.act([gang.seen.get(slot) for slot in range(self._actor.slots)])
        self._pool.send({slot: action for slot, action in enumerate(actions) if action is not None})
        gang.stepping, gang.seen = set(gang.seen), {}
