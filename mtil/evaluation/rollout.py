"""A policy at work in a simulator: every task, from placements that no demonstration was collected at.

Legend: A action dimensions, Z width of z.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.errors import OutputError
from mtil.evaluation.metrics import Outcome
from mtil.sim.workers import Command, EnvironmentPool, Reset, Transition

Observation = Mapping[str, Shaped[np.ndarray, "..."]]


@runtime_checkable
class Actor(Protocol):
    """What acts in the slots. What it does in one must not depend on what happens in the others, nor on when."""

    @property
    def slots(self) -> int: ...

    def reset(self, row: int, z: Float[Tensor, " Z"], task: str) -> None: ...

    def act(self, observations: Sequence[Observation | None]) -> Sequence[Float[np.ndarray, " A"] | None]: ...


@dataclass(frozen=True)
class Recording:
    """Films of each task's first episode, `<folder>/<task>.mp4`.

    Attributes:
        folder: Made if it does not exist.
        camera: A camera that the simulator has.
        image_size: Height and width in pixels.
    """

    folder: Path
    camera: str
    image_size: int = 240


@dataclass(frozen=True)
class Trial:
    """An episode to be run: where it starts, what tells the policy its task, and where its film goes."""

    task: str
    episode: int
    placement: int
    told: str
    z: Float[Tensor, " Z"]
    video: Path | None = None


def roll_out(
    actor: Actor, trials: Sequence[Trial], *, simulator: str, workers: int, recording: Recording | None = None
) -> Iterator[Outcome]:
    """Run trials, as many at once as the actor has slots; outcomes come in the order in which episodes end.

    The actor decides for the slots of whichever workers have answered, while the others step on: a slow reset holds up
    nobody else. Which trial runs in which slot is fixed beforehand, so that this changes no result.

    Raises:
        SimulatorError: An environment fails.
        OutputError: A film cannot be written.
    """
    if not trials:
        return
    if recording is not None:
        _make_folder(recording.folder)
    lanes = _lanes(trials, actor.slots)
    film = {"camera": recording.camera, "image_size": recording.image_size} if recording else {}
    with EnvironmentPool(simulator, workers=min(workers, len(lanes)), **film) as pool:
        pool.send({row: _begin(actor, row, lane[0]) for row, lane in lanes.items()})
        while pool.busy:
            transitions = pool.receive()
            running = {row: transition.observation for row, transition in transitions.items() if not transition.done}
            ended = [row for row in transitions if row not in running]
            yield from (_outcome(lanes[row].popleft(), transitions[row]) for row in ended)
            commands: dict[int, Command] = {row: _begin(actor, row, lanes[row][0]) for row in ended if lanes[row]}
            pool.send(commands | _actions(actor, running))


def _lanes(trials: Sequence[Trial], slots: int) -> dict[int, deque[Trial]]:
    """Equal shares of neighbouring trials for the slots: few tasks, each a new environment, pass through one."""
    ends = [len(trials) * slot // slots for slot in range(slots + 1)]
    shares = {row: deque(trials[start:end]) for row, (start, end) in enumerate(pairwise(ends))}
    return {row: share for row, share in shares.items() if share}


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: the folder cannot be made: {error.strerror}") from None


def _begin(actor: Actor, row: int, trial: Trial) -> Reset:
    actor.reset(row, trial.z, trial.task)
    return Reset(task=trial.task, placement=trial.placement, video=trial.video)


def _outcome(trial: Trial, last: Transition) -> Outcome:
    return ended(trial, success=last.success, length=last.steps)


def ended(trial: Trial, *, success: bool, length: int) -> Outcome:
    """How a trial ended."""
    return Outcome(
        task=trial.task,
        episode=trial.episode,
        placement=trial.placement,
        told=trial.told,
        success=success,
        length=length,
    )


def _actions(actor: Actor, observations: Mapping[int, Observation]) -> dict[int, Command]:
    if not observations:
        return {}
    actions = actor.act([observations.get(row) for row in range(actor.slots)])
    return {row: action for row, action in enumerate(actions) if action is not None}
