"""How often each task succeeds, and how sure one may be of it.

Legend: T tasks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Float, Real

from mtil.machine import Machine, this_machine

Control = Literal["wrong", "absent"]
"""What the policy is told in place of its task: another task, or nothing (zeros for z)."""


@dataclass(frozen=True)
class Outcome:
    """How one episode ended.

    Attributes:
        task: Name of the task.
        episode: Position among the task's episodes.
        placement: The seed that it started from.
        told: What told the policy its task: a sentence, or a name; empty where nothing did.
        success: Whether the goal was reached at any step.
        length: Steps taken until success or the end.
        reruns: How often it was run again because its environment had died or hung.
    """

    task: str
    episode: int
    placement: int
    told: str
    success: bool
    length: int
    reruns: int = 0


@dataclass(frozen=True)
class TaskResult:
    """One task's row: rates in [0, 1], `low` and `high` the 95% interval of the rate, lengths in steps."""

    task: str
    episodes: int
    successes: int
    rate: float
    low: float
    high: float
    mean_length: float


@dataclass(frozen=True)
class MeanResult:
    """The mean of the tasks' rates, each task weighing the same, and its 95% interval."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class EvaluationProtocol:
    """How the episodes were run.

    Attributes:
        suite: Name of the simulator, or the file that describes it.
        seed: Seed of the placements.
        episodes_per_task: Episodes, each from a placement of its own.
        horizon: Steps after which an episode has failed.
        success: What counts as success, in words.
        condition: Kind of descriptor that told the policy its task.
        checkpoint: Where the policy came from.
        step: Of its training; None: not known.
        weights: Digest of the policy's weights, to know them again by.
        control: What it was told in place of its task, if this is a control.
        instructions: The file of sentences that replaced those of the training, if one did.
        videos: The folder of videos that showed the tasks, if not demonstrations held out of the training did.
        clips: How many clips made a z, where clips showed the tasks.
        untrained: Tasks that the policy was not trained on, if it was evaluated on any.
        path: The checkpoint's file.
        replay: The one episode that was run again, if it was not all of them.
        suite_digest: Of what the file said, if one describes the simulator.
    """

    suite: str
    seed: int
    episodes_per_task: int
    horizon: int
    success: str
    condition: str
    checkpoint: str
    step: int | None = None
    weights: str | None = None
    control: Control | None = None
    instructions: str | None = None
    videos: str | None = None
    clips: int | None = None
    untrained: tuple[str, ...] | None = None
    path: str | None = None
    replay: int | None = None
    suite_digest: str | None = None

    @property
    def told_as_trained(self) -> bool:
        """Whether the policy was told its tasks as in training: under no control, in no other sentences or videos."""
        return self.control is None and self.instructions is None and self.videos is None


@dataclass(frozen=True)
class EvaluationResult:
    """Success of every task, in the suite's order, every episode, and the machine that ran them."""

    protocol: EvaluationProtocol
    tasks: tuple[TaskResult, ...]
    mean: MeanResult
    outcomes: tuple[Outcome, ...]
    machine: Machine


def summary(protocol: EvaluationProtocol, outcomes: Sequence[Outcome]) -> EvaluationResult:
    """The result of an evaluation on this machine; outcomes ordered by task, then episode."""
    names = dict.fromkeys(outcome.task for outcome in outcomes)
    tasks = tuple(task_result(name, [each for each in outcomes if each.task == name]) for name in names)
    return EvaluationResult(
        protocol=protocol, tasks=tasks, mean=mean_result(tasks), outcomes=tuple(outcomes), machine=this_machine()
    )


def task_result(task: str, outcomes: Sequence[Outcome]) -> TaskResult:
    """Summary of one task's episodes, of which there must be one at least."""
    episodes, successes = len(outcomes), sum(outcome.success for outcome in outcomes)
    low, high = wilson_interval(np.array([successes]), np.array([episodes]))
    return TaskResult(
        task=task,
        episodes=episodes,
        successes=successes,
        rate=successes / episodes,
        low=float(low[0]),
        high=float(high[0]),
        mean_length=sum(outcome.length for outcome in outcomes) / episodes,
    )


def mean_result(tasks: Sequence[TaskResult]) -> MeanResult:
    """Mean over tasks."""
    successes = np.array([task.successes for task in tasks])
    episodes = np.array([task.episodes for task in tasks])
    low, high = mean_interval(successes, episodes)
    return MeanResult(rate=float(np.mean(successes / episodes)), low=low, high=high)


def wilson_interval(
    successes: Real[np.ndarray, " T"], episodes: Real[np.ndarray, " T"], *, confidence: float = 0.95
) -> tuple[Float[np.ndarray, " T"], Float[np.ndarray, " T"]]:
    """Wilson's score interval of each success rate (Wilson, 1927, JASA 22:209-212).

    Args:
        successes: Number of successes, not necessarily whole.
        episodes: Number of episodes, not necessarily whole.
        confidence: Probability that the interval is to cover the rate with.

    Returns:
        Lower and upper ends, in [0, 1].
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = successes / episodes
    centre = rate + z**2 / (2 * episodes)
    half = z * np.sqrt(rate * (1 - rate) / episodes + (z / (2 * episodes)) ** 2)
    scale = 1 + z**2 / episodes
    return np.clip((centre - half) / scale, 0, 1), np.clip((centre + half) / scale, 0, 1)


def mean_interval(
    successes: Real[np.ndarray, " T"], episodes: Real[np.ndarray, " T"], *, confidence: float = 0.95
) -> tuple[float, float]:
    """Interval of the mean of the tasks' success rates: Wilson's, at the effective sample size of the strata.

    The tasks are strata, sampled independently: the variance of the mean is the sum of theirs, and the effective sample
    size is the number of plain coin tosses of the mean rate that would vary as much. Wilson's interval at that size is
    what Franco, Little, Louis and Slud (2019, Journal of Survey Statistics and Methodology 7:334-364) recommend. Half
    a success and half a failure are added to each task in the variance alone, so that tasks at 0 or 100% still vary.
    For one task it is Wilson's interval, and for tasks of one rate and size Wilson's interval of them all together.

    Args:
        successes: Number of successes of each task.
        episodes: Number of episodes of each task.
        confidence: Probability that the interval is to cover the mean rate with.

    Returns:
        Lower and upper end, in [0, 1].
    """
    smoothed = (successes + 0.5) / (episodes + 1)
    variance = np.sum(smoothed * (1 - smoothed) / episodes) / len(episodes) ** 2
    effective = np.array([smoothed.mean() * (1 - smoothed.mean()) / variance])
    low, high = wilson_interval(np.mean(successes / episodes) * effective, effective, confidence=confidence)
    return float(low[0]), float(high[0])
