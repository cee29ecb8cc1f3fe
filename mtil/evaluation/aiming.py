"""Goals of the episodes of an evaluation: what is to be reached from where each begins.

Legend: Z width of z.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from jaxtyping import Shaped

from mtil.data.goals import goals_of
from mtil.data.scaling import as_taken
from mtil.data.windows import Windows
from mtil.errors import CheckpointError
from mtil.evaluation.conditioning import Descriptor, Descriptors
from mtil.evaluation.run_data import RunData
from mtil.policies.policy import Policy
from mtil.sim.base import Reached, Simulator, Stream, placement

_EPISODES = 2**31  # more than anybody asks for


def aims(
    policy: Policy, simulator: Simulator, tasks: Iterable[str], *, seed: int, stream: Stream = "evaluation"
) -> Descriptors:
    """By task, the goal of each of its episodes, found when it is asked for.

    Args:
        policy: One that takes goals.
        simulator: Where they are reached.
        tasks: Names.
        seed: Of the placements.
        stream: What these are drawn from.
    """
    source = _Source(policy, simulator, seed, stream)
    return {task: _EpisodeGoals(source, task) for task in tasks}


def demonstrated(policy: Policy, data: RunData, *, most: int) -> Descriptors:
    """The goals of demonstrations held out of a run's training, so many of a task at most; none where it has none."""
    assert data.config.goals is not None, "the run's policy takes goals"
    store, episodes = data.store, data.validation
    length = store.length[episodes].numpy()
    windows = Windows(store.start[episodes].numpy(), length, history=1, chunk=1)
    goals = goals_of(store, windows, store.task[episodes].numpy().repeat(length), data.config.goals, as_evaluated=True)
    first = length.cumsum() - length
    found: dict[str, list[Descriptor]] = {}
    for episode, goal in zip(episodes.tolist(), goals.take(first, np.zeros(len(first))).numpy(), strict=True):
        of_task = found.setdefault(policy.spec.task_names[int(store.task[episode])], [])
        if len(of_task) < most:
            of_task.append(_descriptor(policy, data.name(episode), goal))
    return found


class _EpisodeGoals:
    """The goals of a task's episodes, by their number."""

    def __init__(self, source: "_Source", task: str) -> None:
        self._source, self._task = source, task
        self._found: dict[int, Descriptor] = {}

    def __len__(self) -> int:
        return _EPISODES

    def __getitem__(self, episode: int, /) -> Descriptor:
        if episode not in self._found:
            self._found[episode] = self._source.goal(self._task, episode)
        return self._found[episode]

    def __iter__(self) -> Iterator[Descriptor]:
        return (self[episode] for episode in range(len(self)))


class _Source:
    """Finds goals, and keeps what it needs for those of one task at a time."""

    def __init__(self, policy: Policy, simulator: Simulator, seed: int, stream: Stream) -> None:
        self._policy, self._simulator, self._seed = policy, simulator, seed
        self._stream: Stream = stream
        self._task: str | None = None
        self._wanted = 0
        self._reached: Iterator[Reached] = iter(())

    def goal(self, task: str, episode: int) -> Descriptor:
        """The goal of an episode.

        Raises:
            CheckpointError: The simulator does not show what the policy's goals are made of.
            SimulatorError: The task has no goals.
        """
        if task != self._task:
            space = self._policy.spec.goal
            views = self._policy.spec.goal_views(task)
            keys = [feature.key for feature in space]
            self._task = task
            self._reached = self._simulator.goals(self._called(task), self._starts(), keys=keys, views=views)
        self._wanted = placement(self._stream, self._seed, self._called(task), episode)
        reached = next(self._reached)
        name = f"goal {episode}" if reached.success else f"goal {episode} (where the expert failed)"
        return _descriptor(self._policy, name, self._taken(task, reached))

    def _called(self, task: str) -> str:
        return self._policy.spec.simulated(task)

    def _starts(self) -> Iterator[int]:
        """The placement that is wanted next, whenever it is asked for."""
        while True:
            yield self._wanted

    def _taken(self, task: str, reached: Reached) -> Shaped[np.ndarray, "..."]:
        """A goal as the policy takes it."""
        spec, parts = self._policy.spec, []
        for feature in spec.goal:
            if feature.key not in reached.observation:
                raise CheckpointError(
                    f"the policy's goals are made of {feature.key!r}, which {self._simulator.name} does not show; it "
                    f"shows {', '.join(reached.observation)}"
                )
            value = reached.observation[feature.key]
            if feature.kind == "image":
                return as_taken(value, feature)
            width = spec.width(feature.key, task)
            if value.shape != (width,):
                raise CheckpointError(
                    f"{task}: expected {feature.key} of shape ({width},), {self._simulator.name} has {value.shape}"
                )
            parts.append(np.pad(value, (0, feature.shape[0] - width), constant_values=np.nan))
        return np.concatenate(parts)


@torch.inference_mode()
def _descriptor(policy: Policy, name: str, goal: Shaped[np.ndarray, "..."]) -> Descriptor:
    return Descriptor(name, policy.embed("goal", [goal])[0])
