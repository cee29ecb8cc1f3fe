"""Goals of the episodes of an evaluation: what is to be reached from where each begins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

from mtil.data.goals import goals_of
from mtil.data.windows import Windows
from mtil.errors import CheckpointError
from mtil.evaluation.run_data import RunData
from mtil.policies.policy import Policy
from mtil.sim.base import Reached, Simulator, Stream, placement


@dataclass(frozen=True)
class Aim:
    """A goal as a policy takes it, and what to call it."""

    name: str
    goal: Shaped[np.ndarray, "..."]


Aims = Mapping[str, Sequence[Aim]]
"""By task, the goal of each episode."""


def aims(
    policy: Policy,
    simulator: Simulator,
    tasks: Iterable[str],
    *,
    episodes: int,
    seed: int,
    stream: Stream = "evaluation",
) -> Aims:
    """The goals of the episodes of an evaluation.

    Args:
        policy: One that takes goals.
        simulator: Where they are reached.
        tasks: Names.
        episodes: Of each task.
        seed: Of the placements.
        stream: What these are drawn from.

    Raises:
        CheckpointError: The simulator does not show what the policy's goals are made of.
        SimulatorError: A task has no goals.
    """
    views = [feature.camera for feature in policy.spec.goal if feature.camera is not None]
    found = {}
    for task in tasks:
        starts = [placement(stream, seed, task, episode) for episode in range(episodes)]
        reached = simulator.goals(task, starts, views=views)
        found[task] = [_aim(policy, simulator, task, number, each) for number, each in enumerate(reached)]
    return found


def demonstrated(policy: Policy, data: RunData, *, most: int) -> Aims:
    """The goals of demonstrations held out of a run's training; of a task perhaps none, and so many at most."""
    assert data.config.goals is not None, "the run's policy takes goals"
    store, episodes = data.store, data.validation
    length = store.length[episodes].numpy()
    windows = Windows(store.start[episodes].numpy(), length, history=1, chunk=1)
    goals = goals_of(store, windows, store.task[episodes].numpy().repeat(length), data.config.goals, as_evaluated=True)
    first = length.cumsum() - length
    found: dict[str, list[Aim]] = {task: [] for task in policy.spec.task_names}
    for episode, goal in zip(episodes.tolist(), goals.take(first, np.zeros(len(first))).numpy(), strict=True):
        aims = found[policy.spec.task_names[int(store.task[episode])]]
        if len(aims) < most:
            aims.append(Aim(data.name(episode), goal))
    return found


def _aim(policy: Policy, simulator: Simulator, task: str, number: int, reached: Reached) -> Aim:
    parts = []
    for feature in policy.spec.goal:
        if feature.key not in reached.observation:
            raise CheckpointError(
                f"the policy's goals are made of {feature.key!r}, which {simulator.name} does not show; it shows "
                f"{', '.join(reached.observation)}"
            )
        value = reached.observation[feature.key]
        if feature.kind == "image":
            return Aim(_name(number, reached), value)
        width = policy.spec.width(feature.key, task)
        if value.shape != (width,):
            raise CheckpointError(
                f"{task}: expected {feature.key} of shape ({width},), {simulator.name} has {value.shape}"
            )
        parts.append(np.pad(value, (0, feature.shape[0] - width), constant_values=np.nan))
    return Aim(_name(number, reached), np.concatenate(parts))


def _name(number: int, reached: Reached) -> str:
    return f"goal {number}" if reached.success else f"goal {number} (where the expert failed)"
