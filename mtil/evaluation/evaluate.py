"""From a policy and what tells it its tasks to a success rate of each."""

from collections.abc import Callable, Iterable, Sequence

import torch

from mtil.errors import SimulatorError, unknown
from mtil.evaluation.conditioning import Descriptors
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, summary
from mtil.evaluation.peers import Peers
from mtil.evaluation.rollout import Actor, Recording, Trial, ended, roll_out
from mtil.evaluation.trials import first_filmed, trials_of
from mtil.sim.base import Simulator, Stream, load
from mtil.types import DatasetSpec

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
    stream: Stream = "evaluation",
    spec: DatasetSpec | None = None,
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
        seed: Seed of the placements.
        workers: Processes that the environments run in.
        condition: Kind of the descriptors, for the protocol.
        checkpoint: Where the policy came from, for the protocol.
        tasks: Names of the tasks; all of the suite's unless given.
        stream: What the placements are drawn from; never those of the demonstrations.
        spec: Tells what the simulator calls a task, and has to show; None: tasks by their names, and states alone.
        recording: Where films of each task's first episode go, and what they show.
        peers: The ranks that evaluate together, if they are several.
        progress: Called with each outcome of this rank as it comes.

    Raises:
        SimulatorError: A simulator or task that does not exist, a task without descriptor, or a failing environment or
            rank.
        OutputError: A film cannot be written.
    """
    assert episodes >= 1, "an evaluation needs an episode"
    suite = load(simulator)
    chosen = _chosen(suite, tasks, spec)
    trials = trials_of(chosen, descriptors, episodes=range(episodes), seed=seed, stream=stream, spec=spec)
    outcomes = run_trials(
        actor,
        first_filmed(trials, recording),
        simulator=simulator,
        workers=workers,
        recording=recording,
        peers=peers,
        progress=progress,
    )
    protocol = EvaluationProtocol(
        suite=simulator,
        seed=seed,
        episodes_per_task=episodes,
        horizon=suite.horizon,
        success=suite.success,
        condition=condition,
        checkpoint=checkpoint,
        suite_digest=suite.digest,
    )
    return summary(protocol, outcomes)


def run_trials(
    actor: Actor,
    trials: Sequence[Trial],
    *,
    simulator: str,
    workers: int,
    recording: Recording | None = None,
    known: Iterable[Outcome] = (),
    peers: Peers | None = None,
    progress: Progress | None = None,
) -> list[Outcome]:
    """How each trial ends, in their order; the ranks share the work, and all return the same.

    Args:
        actor: The policy, in a fixed number of slots.
        trials: What to run.
        simulator: Name of the suite.
        workers: Processes that the environments run in.
        recording: What the films of trials show that have one.
        known: Outcomes of trials that need not be run again; those that the first rank knows count.
        peers: The ranks, if they are several.
        progress: Called with each new outcome of this rank as it comes.

    Raises:
        SimulatorError: An environment or another rank fails.
        OutputError: A film cannot be written.
    """
    peers = peers or Peers()
    earlier = _shared(known if peers.rank.first else (), trials, peers)
    rest = [trial for trial, outcome in zip(trials, earlier, strict=True) if outcome is None]
    mine: list[Outcome] = []
    part = peers.rank.stretch(rest)
    for outcome in roll_out(actor, part, simulator=simulator, workers=workers, recording=recording):
        mine.append(outcome)
        if progress is not None:
            progress(outcome)
    later = _shared(mine, trials, peers)
    outcomes = [before or after for before, after in zip(earlier, later, strict=True)]
    assert None not in outcomes, "a trial was not run"
    return [outcome for outcome in outcomes if outcome is not None]


def _chosen(suite: Simulator, tasks: Iterable[str] | None, spec: DatasetSpec | None) -> list[str]:
    """The tasks asked for, in the suite's order."""
    names = [task.name for task in suite.tasks()]
    called = str if spec is None else spec.simulated
    wanted = list(dict.fromkeys(names if tasks is None else tasks))
    for task in wanted:
        if called(task) not in names:
            raise SimulatorError(unknown(f"task of {suite.name}", called(task), names))
    return sorted(wanted, key=lambda task: names.index(called(task)))


def _shared(outcomes: Iterable[Outcome], trials: Sequence[Trial], peers: Peers) -> list[Outcome | None]:
    """What all ranks together know of each trial: in a table with a row for each, every rank fills its own rows."""
    rows = {(trial.task, trial.episode): row for row, trial in enumerate(trials)}
    table = torch.zeros(len(trials), 4, dtype=torch.int64)
    for each in outcomes:
        table[rows[each.task, each.episode]] = torch.tensor([True, each.success, each.length, each.reruns])
    return [
        ended(trial, success=bool(success), length=length, reruns=reruns) if is_known else None
        for trial, (is_known, success, length, reruns) in zip(trials, peers.total(table).tolist(), strict=True)
    ]
