"""From a policy and what tells it its tasks to a success rate of each."""

from collections.abc import Callable, Iterable, Sequence

import torch

from mtil.errors import SimulatorError, unknown
from mtil.evaluation.conditioning import Descriptors
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, summary
from mtil.evaluation.peers import Peers
from mtil.evaluation.rollout import Actor, Recording, Trial, ended, roll_out
from mtil.sim.base import Simulator, load, placement

Progress = Callable[[Outcome], object]


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
    protocol = EvaluationProtocol(
        suite=simulator,
        seed=seed,
        episodes_per_task=episodes,
        horizon=suite.horizon,
        success=suite.success,
        condition=condition,
        checkpoint=checkpoint,
    )
    return summary(protocol, outcomes)


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
            told=descriptors[task][episode % len(descriptors[task])].words,
            z=descriptors[task][episode % len(descriptors[task])].z,
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
        ended(trial, success=bool(success), length=length)
        for trial, (success, length) in zip(trials, peers.total(table).tolist(), strict=True)
    ]
