"""One attempt of a scripted expert at one placement; runs in worker processes, which know nothing of torch."""

import math
from functools import lru_cache

import gymnasium
import numpy as np

from mtil.collection.settings import CollectionSettings
from mtil.errors import SimulatorError
from mtil.sim.base import Expert, load, placement
from mtil.types import CameraView, Episode


def attempt(settings: CollectionSettings, task: str, index: int) -> Episode | None:
    """Let the expert try once; the outcome is a function of the arguments alone.

    Args:
        settings: Simulator, seed, noise, lengths and cameras.
        task: Name of the task.
        index: Position of the attempt among the task's attempts; it decides the placement.

    Returns:
        The episode, labelled with the expert's clean, clipped actions; None if it failed.
    """
    start = placement("collection", settings.seed, task, index)
    rng = np.random.default_rng((start, 1))  # not the placement's own stream, which the simulator draws from
    env, expert = _stage(settings.suite, task, settings.views)
    return _roll_out(env, expert, start, settings, settings.longest(task), rng)


# Failed attempts are made up for while the next task has begun: a few environments are worth keeping, fifty are not.
@lru_cache(maxsize=4)
def _stage(simulator: str, task: str, views: tuple[CameraView, ...]) -> tuple[gymnasium.Env, Expert]:
    suite = load(simulator)
    expert = suite.expert(task)
    if expert is None:
        raise SimulatorError(f"{simulator}: task {task!r} has no scripted expert to collect from")
    return suite.make(task, views=views), expert


def _roll_out(
    env: gymnasium.Env,
    expert: Expert,
    start: int,
    settings: CollectionSettings,
    longest: int | None,
    rng: np.random.Generator,
) -> Episode | None:
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    observation, _ = env.reset(seed=start)
    observations, actions, rewards = [], [], []
    left = math.inf if longest is None else longest
    success = over = False
    while left and not over:
        action = np.clip(expert(observation), space.low, space.high)
        observations.append(observation)
        actions.append(action)
        executed = np.clip(action + rng.normal(0.0, settings.noise, action.shape), space.low, space.high)
        observation, reward, terminated, truncated, info = env.step(executed.astype(space.dtype))
        rewards.append(reward)
        left, over = left - 1, terminated or truncated
        if info["success"] and not success:
            success, left = True, settings.steps_after_success
    if not success:
        return None
    return Episode(
        observations={key: np.stack([each[key] for each in observations]) for key in observations[0]},
        actions=np.stack(actions).astype(np.float32),
        rewards=np.array(rewards, np.float32),
        dones=np.arange(len(actions)) == len(actions) - 1,
    )
