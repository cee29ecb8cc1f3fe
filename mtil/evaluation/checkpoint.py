"""From a run directory or checkpoint to a table of success rates."""

from pathlib import Path

import torch

from mtil.errors import CheckpointError, SimulatorError
from mtil.evaluation.conditioning import common_tasks, descriptors, read_instructions
from mtil.evaluation.evaluate import evaluate
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.peers import Peers, joined
from mtil.evaluation.progress import EpisodeProgress
from mtil.evaluation.rollout import Recording
from mtil.policies.actor import Actor
from mtil.policies.checkpoint import LoadedPolicy, load_policy
from mtil.ranks import cores, this_rank
from mtil.sim.base import Simulator, load

SLOTS = 32


def evaluate_checkpoint(
    path: Path,
    *,
    suite: str | None,
    episodes: int,
    seed: int,
    tasks: list[str] | None,
    condition: str | None,
    instructions: Path | None,
    video: Path | None,
    workers: int | None,
) -> EvaluationResult:
    """Evaluate the averaged weights of a checkpoint; the arguments are those of `mtil evaluate`.

    Ranks started together share the episodes, and all return the result.

    Raises:
        CheckpointError: No policy is there, or it does not take the condition or know a task.
        ConfigError: The ranks cannot find each other.
        MtilError: Suite, tasks or instructions do not fit.
    """
    loaded = load_policy(path)
    name = suite or loaded.card.suite
    if name is None:
        raise CheckpointError(f"{loaded.path}: does not name a simulator; choose one with --suite")
    simulator, policy = load(name), loaded.policy
    kind = condition or ("language" if "language" in policy.kinds else policy.kinds[0])
    chosen = common_tasks(policy, simulator, tasks)
    told = descriptors(
        policy, kind, chosen, instructions=None if instructions is None else read_instructions(instructions)
    )
    recording = _recording(video, simulator)
    torch.set_num_threads(1)  # a batch of this size gains nothing from more, and the environments need the cores
    with (
        joined(this_rank()) as peers,
        EpisodeProgress(total=len(peers.rank.stretch(range(len(chosen) * episodes))), rank=peers.rank) as progress,
    ):
        _check_same(loaded, peers)
        return evaluate(
            Actor(policy, slots=SLOTS),
            simulator=name,
            descriptors=told,
            episodes=episodes,
            seed=seed,
            workers=workers or cores(),
            condition=kind,
            checkpoint=f"{loaded.path} (step {loaded.step}, averaged weights)",
            tasks=chosen,
            recording=recording,
            peers=peers,
            progress=progress,
        )


def _check_same(loaded: LoadedPolicy, peers: Peers) -> None:
    """A run that is still being trained may have replaced its checkpoint between one rank's look and another's."""
    if int(peers.total(torch.tensor(loaded.step))) != loaded.step * peers.rank.count:
        raise CheckpointError(
            f"{loaded.path}: found step {loaded.step}, but other ranks found another; is the run still being trained? "
            "evaluate a copy"
        )


def _recording(folder: Path | None, simulator: Simulator) -> Recording | None:
    if folder is None:
        return None
    if simulator.camera is None:
        raise SimulatorError(f"{simulator.name}: has no camera to film with; leave --video out")
    return Recording(folder, simulator.camera)
