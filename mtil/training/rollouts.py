"""Rollouts along the way: how often the averaged weights succeed, at placements of a stream of their own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from mtil.data.kinds import DescriptorKind
from mtil.errors import ConfigError, SimulatorError
from mtil.evaluation.aiming import aims
from mtil.evaluation.conditioning import descriptors
from mtil.evaluation.evaluate import evaluate
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.peers import Peers, connected
from mtil.evaluation.residence import missing, residents
from mtil.evaluation.rollout import slots_for
from mtil.policies.actor import Actor
from mtil.policies.policy import Policy
from mtil.ranks import Rank
from mtil.sim.base import load
from mtil.training.callbacks import stepped
from mtil.training.ema import WeightEMA
from mtil.training.task_log import report
from mtil.types import DatasetSpec

SUCCESS, LENGTH = "rollout/success", "rollout/length"


class Rollouts(Callback):
    """Evaluates a copy of the averaged policy every so many steps; the training itself is not touched.

    The placements are those of the stream "validation", which neither demonstrations nor final evaluations draw from,
    and the same each time. The ranks share the episodes.

    Args:
        average: What holds the averaged weights; it stands before this among the callbacks.
        suite: Name of the simulator.
        spec: Of the policy; its tasks that live in the suite are rolled out.
        every: Optimiser steps between two.
        episodes: Episodes of each task.
        seed: Seed of the placements.

    Raises:
        ConfigError: No suite is named.
        SimulatorError: It is not installed, or has none of the tasks.
    """

    def __init__(
        self, average: WeightEMA, *, suite: str | None, spec: DatasetSpec, every: int, episodes: int, seed: int
    ) -> None:
        if suite is None:
            raise ConfigError("trainer.rollout_every: expected a suite to roll out in, found suite=null; name one")
        self._tasks = residents(spec, load(suite))
        if not self._tasks:
            known = ", ".join(spec.task_names)
            raise SimulatorError(f"{suite}: none of the tasks to be trained ({known}) is in this suite")
        for task in {(spec.embodiment(task), *spec.keys(task)): task for task in self._tasks}.values():
            if lacking := missing(spec, load(suite), task):
                hint = "trainer.rollout_every=null rolls nothing out"
                raise SimulatorError(f"{suite}: {task}: the policy is to see {lacking!r}, which is not shown; {hint}")
        self._average, self._suite = average, suite
        self._every, self._episodes, self._seed = every, episodes, seed
        self._peers = Peers()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._peers = connected(Rank(trainer.global_rank, trainer.world_size))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if stepped(trainer, batch_idx) and trainer.global_step % self._every == 0:
            policy: Policy = pl_module.policy  # type: ignore[assignment]
            workers = max(1, len(os.sched_getaffinity(0)) // trainer.num_devices)
            report(trainer, _metrics(self._evaluate(self._averaged(policy), workers=workers)))

    def _averaged(self, policy: Policy) -> Policy:
        """A copy, whole also where the weights are split over the ranks, with the average in it."""
        copy = Policy.from_state(policy.config, policy.spec, self._average.state_of(policy))
        return copy.to(policy.action_normalizer.scale.device)

    def _evaluate(self, policy: Policy, *, workers: int) -> EvaluationResult:
        kind = rolled_out_by(policy.kinds)
        assert kind is not None, "the trainer has checked that there is one"
        goals = None
        if kind == "goal":
            goals = aims(policy, load(self._suite), self._tasks, seed=self._seed, stream="validation")
        with _one_thread():
            return evaluate(
                Actor(policy, slots=slots_for(workers)),
                simulator=self._suite,
                descriptors=descriptors(policy, kind, self._tasks, goals=goals),
                episodes=self._episodes,
                stream="validation",
                seed=self._seed,
                workers=workers,
                condition=kind,
                checkpoint="averaged weights in training",
                tasks=self._tasks,
                spec=policy.spec,
                peers=self._peers,
            )


def rolled_out_by(kinds: Sequence[DescriptorKind]) -> DescriptorKind | None:
    """The kind of descriptor that a policy is rolled out by: the first of those that need no demonstrations."""
    return next((kind for kind in ("language", "one_hot", "goal", "none") if kind in kinds), None)


def _metrics(result: EvaluationResult) -> dict[str, float]:
    """Success rates in [0, 1] and mean lengths in steps, of each task and of all, each weighing the same."""
    lengths = [task.mean_length for task in result.tasks]
    means = {SUCCESS: result.mean.rate, LENGTH: sum(lengths) / len(lengths)}
    rates = {f"{SUCCESS}/{task.task}": task.rate for task in result.tasks}
    return means | rates | {f"{LENGTH}/{task.task}": task.mean_length for task in result.tasks}


@contextmanager
def _one_thread() -> Iterator[None]:
    """A batch of this size gains nothing from more, and the environments need the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
