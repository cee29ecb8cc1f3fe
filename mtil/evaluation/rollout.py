"""A policy at work in a simulator: every task, from placements that no demonstration was collected at.

Legend: A action dimensions, Z width of z.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.errors import OutputError, SimulatorError, unknown
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, mean_result, task_result
from mtil.evaluation.peers import Peers
from mtil.sim.base import Simulator, load, placement
from mtil.sim.workers import Command, EnvironmentPool, Reset, Transition

Observation = Mapping[str, Shaped[np.ndarray, "..."]]
Descriptors = Mapping[str, Sequence[Float[Tensor, " Z"]]]
"""Embeddings of what tells each task."""

Progress = Callable[[Outcome], object]


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
    z: Float[Tensor, " Z"]
    video: Path | None = None


def evaluate(
    actor: Actor,
    *,
    simulator: str,
    descriptors: Descriptors,
    episodes: int,
    seed: int,
    workers: int,
    condition: str,
    checkpoint: str,
    tasks: Iterable[str] | None = None,
    recording: Recording | None = None,
    peers: Peers | None = None,
    progress: Progress | None = None,
) -> EvaluationResult:
    """Success of a policy in every task, which is reaching the goal at any step within the horizon.

    Episode j of a task starts from a placement that depends on (seed, task, j) alone and is conditioned on the task's
    j-th descriptor, cyclically. The result does not depend on the number of workers, nor on that of ranks: each runs a
    part of the episodes, and all return the same.

    Args:
        actor: The policy, in a fixed number of slots.
        simulator: Name of the suite.
        descriptors: Embeddings z of each task, one at least.
        episodes: Episodes of each task.
        seed: Seed of the placements, drawn from another stream than those of the demonstrations.
        workers: Processes that the environments run in.
        condition: Kind of the descriptors, for the protocol.
        checkpoint: Where the policy came from, for the protocol.
        tasks: Names of the tasks; all of the suite's unless given.
        recording: Where films go, and what they show.
        peers: The ranks that evaluate together, if they are several.
        progress: Called with each outcome of this rank as it comes.

    Raises:
        SimulatorError: A simulator or task that does not exist, a task without descriptor, or a failing environment or
            rank.
        OutputError: A film cannot be written.
    """
    assert episodes >= 1, "an evaluation needs an episode"
    suite = load(simulator)
    chosen = _chosen(suite, tasks)
    trials = _trials(chosen, descriptors, episodes=episodes, seed=seed, recording=recording)
    peers = peers or Peers()
    mine: list[Outcome] = []
    part = peers.rank.stretch(trials)
    for outcome in roll_out(actor, part, simulator=simulator, workers=workers, recording=recording):
        mine.append(outcome)
        if progress is not None:
            progress(outcome)
    outcomes = _gathered(mine, trials, peers)
    results = tuple(task_result(task, [each for each in outcomes if each.task == task]) for task in chosen)
    protocol = EvaluationProtocol(
        suite=simulator,
        seed=seed,
        episodes_per_task=episodes,
        horizon=suite.horizon,
        success=suite.success,
        condition=condition,
        checkpoint=checkpoint,
    )
    return EvaluationResult(protocol=protocol, tasks=results, mean=mean_result(results))


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


def _chosen(suite: Simulator, tasks: Iterable[str] | None) -> list[str]:
    """The names asked for, in the suite's order."""
    names = [task.name for task in suite.tasks()]
    wanted = set(names if tasks is None else tasks)
    for name in sorted(wanted - set(names)):
        raise SimulatorError(unknown(f"task of {suite.name}", name, names))
    return [name for name in names if name in wanted]


def _trials(
    tasks: Sequence[str], descriptors: Descriptors, *, episodes: int, seed: int, recording: Recording | None
) -> list[Trial]:
    for task in tasks:
        if not descriptors.get(task):
            raise SimulatorError(f"task {task!r}: no descriptor tells the policy of it; told: {', '.join(descriptors)}")
    return [
        Trial(
            task=task,
            episode=episode,
            placement=placement("evaluation", seed, task, episode),
            z=descriptors[task][episode % len(descriptors[task])],
            video=recording.folder / f"{task}.mp4" if recording and episode == 0 else None,
        )
        for task in tasks
        for episode in range(episodes)
    ]


def _gathered(outcomes: Iterable[Outcome], trials: Sequence[Trial], peers: Peers) -> list[Outcome]:
    """The outcomes of all ranks' trials: of a table with a row for each trial, every rank fills its own rows."""
    rows = {(trial.task, trial.episode): row for row, trial in enumerate(trials)}
    table = torch.zeros(len(trials), 2, dtype=torch.int64)
    for each in outcomes:
        table[rows[each.task, each.episode]] = torch.tensor([each.success, each.length])
    return [
        Outcome(task=trial.task, episode=trial.episode, success=bool(success), length=length)
        for trial, (success, length) in zip(trials, peers.total(table).tolist(), strict=True)
    ]


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
    return Outcome(task=trial.task, episode=trial.episode, success=last.success, length=last.steps)


def _actions(actor: Actor, observations: Mapping[int, Observation]) -> dict[int, Command]:
    if not observations:
        return {}
    actions = actor.act([observations.get(row) for row in range(actor.slots)])
    return {row: action for row, action in enumerate(actions) if action is not None}
