"""All of an evaluation that is settled before its first episode."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from mtil.errors import CheckpointError, ConfigError, SimulatorError
from mtil.evaluation.aiming import aims
from mtil.evaluation.conditioning import Descriptors, common_tasks, descriptors, read_instructions
from mtil.evaluation.controls import controlled
from mtil.evaluation.digest import weights_digest
from mtil.evaluation.metrics import EvaluationProtocol
from mtil.evaluation.rollout import Recording, Trial
from mtil.evaluation.settings import EvaluationSettings
from mtil.evaluation.showing import Showing, filmed, held_out
from mtil.evaluation.trials import trials_of
from mtil.policies.checkpoint import LoadedPolicy, load_policy
from mtil.sim.base import Simulator, load


@dataclass(frozen=True)
class Preparation:
    """A policy and what it is to do.

    Attributes:
        loaded: The policy.
        simulator: Where its tasks live.
        protocol: How the episodes are run.
        descriptors: By evaluated task, in the suite's order, what tells it.
    """

    loaded: LoadedPolicy
    simulator: Simulator
    protocol: EvaluationProtocol
    descriptors: Descriptors

    @property
    def run(self) -> Path | None:
        """The run directory that the checkpoint is in, if it is in one."""
        return self.loaded.run

    def trials(self, episodes: Iterable[int] | None = None, *, tasks: Sequence[str] | None = None) -> list[Trial]:
        """The episodes: all of them, or these of each task, or of some tasks."""
        if episodes is None:
            episodes = range(self.protocol.episodes_per_task)
        chosen = list(self.descriptors) if tasks is None else tasks
        with Console(stderr=True, quiet=self.protocol.condition != "goal").status("goals are being found"):
            spec = self.loaded.policy.spec
            return trials_of(chosen, self.descriptors, episodes=episodes, seed=self.protocol.seed, spec=spec)

    def recording(self, folder: Path | None) -> Recording | None:
        """How films are taken, if they are.

        Raises:
            SimulatorError: There is no camera.
        """
        if folder is None:
            return None
        if self.simulator.camera is None:
            raise SimulatorError(f"{self.simulator.name}: has no camera to film with; leave --video out")
        return Recording(folder, self.simulator.camera)


def prepare(path: Path, settings: EvaluationSettings) -> Preparation:
    """Load a policy, and embed what it is to be told.

    Raises:
        CheckpointError: No policy is there, or it does not take the condition or know a task.
        ConfigError: Instructions or control do not fit.
        SimulatorError: The suite does not exist, or lacks a task.
    """
    torch.set_num_threads(1)  # z to the bit, on any machine; and the environments need the cores
    loaded = load_policy(path)
    suite = settings.suite or loaded.card.suite
    if suite is None:
        raise CheckpointError(f"{loaded.path}: does not name a simulator; choose one with --suite")
    simulator, policy = load(suite), loaded.policy
    condition = settings.condition or policy.default_kind
    tasks = common_tasks(policy, simulator, settings.tasks, condition)
    protocol = EvaluationProtocol(
        suite=suite,
        seed=settings.seed,
        episodes_per_task=settings.episodes,
        horizon=simulator.horizon,
        success=simulator.success,
        condition=condition,
        checkpoint=f"{loaded.path} (step {loaded.step}, averaged weights)",
        step=loaded.step,
        weights=weights_digest(policy),
        control=settings.control,
        instructions=None if settings.instructions is None else str(settings.instructions),
        videos=None if settings.videos is None else str(settings.videos),
        clips=settings.clips if condition == "video" else None,
        untrained=tuple(task for task in tasks if task not in policy.spec.task_names) or None,
        path=str(loaded.path),
        suite_digest=simulator.digest,
    )
    return Preparation(loaded, simulator, protocol, _told(loaded, simulator, condition, tasks, settings))


def _told(
    loaded: LoadedPolicy, simulator: Simulator, condition: str, tasks: Sequence[str], settings: EvaluationSettings
) -> Descriptors:
    sentences = None if settings.instructions is None else read_instructions(settings.instructions)
    if settings.control == "absent" and sentences is not None:
        raise ConfigError(
            "instructions are given, but control 'absent' tells the policy nothing; leave one of them out"
        )
    showing = _showing(loaded, condition, tasks, settings)
    goals = None
    if condition == "goal":
        loaded.policy.require(condition)
        goals = aims(loaded.policy, simulator, tasks, seed=settings.seed)
    told = descriptors(
        loaded.policy,
        condition,
        tasks,
        instructions=sentences,
        untrained={task.name: task.instructions for task in simulator.tasks()},
        showing=showing,
        clips=settings.clips,
        goals=goals,
    )
    return controlled(told, settings.control, seed=settings.seed, called=loaded.policy.spec.simulated)


def _showing(
    loaded: LoadedPolicy, condition: str, tasks: Sequence[str], settings: EvaluationSettings
) -> Showing | None:
    """The clips that show the tasks, if clips do."""
    if settings.videos is not None and condition != "video":
        raise ConfigError(f"videos are given, but the policy is conditioned on {condition}; expected video")
    if condition != "video":
        return None
    if settings.clips < 1:
        raise ConfigError(f"clips: expected one or more to make a z, found {settings.clips}")
    loaded.policy.require(condition)
    if settings.videos is not None:
        return filmed(loaded.policy, settings.videos, tasks)
    if loaded.run is None:
        raise CheckpointError(
            f"{loaded.path}: not in a run directory, which would tell of demonstrations to show; give videos with "
            "--videos"
        )
    return held_out(loaded.policy, loaded.run, tasks)
