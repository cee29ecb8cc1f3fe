"""An attempt is a function of its arguments, and what it records can be replayed."""

from typing import Any

import numpy as np
import pytest

from mtil.collection.attempt import attempt
from mtil.collection.config import CameraConfig
from mtil.collection.settings import CollectionSettings
from mtil.errors import SimulatorError
from mtil.sim.base import load, placement
from mtil.types import CameraView, Episode

SUITE = load("metaworld-mt10")
TASK = "window-open-v3"


def settings(suite: str = SUITE.name, **asked: Any) -> CollectionSettings:
    return CollectionSettings(suite=suite, **{"seed": 0, "noise": 0.0, "episodes_per_task": 1} | asked)


def tried(index: int = 0, **asked: Any) -> Episode:
    episode = attempt(settings(**asked), TASK, index)
    assert episode is not None
    return episode


def test_an_attempt_is_a_function_of_its_arguments() -> None:
    first, between, again = tried(noise=0.3), tried(index=1), tried(noise=0.3)
    assert np.array_equal(first.actions, again.actions)
    assert all(np.array_equal(first.observations[key], again.observations[key]) for key in first.observations)
    assert not np.array_equal(first.observations["objects"][0], between.observations["objects"][0])


def test_what_was_recorded_without_noise_can_be_replayed_to_the_first_success() -> None:
    episode = tried()
    env = SUITE.make(TASK)
    observation, _ = env.reset(seed=placement("collection", 0, TASK, 0))
    for t in range(len(episode)):
        assert all(np.array_equal(observation[key], episode.observations[key][t]) for key in observation)
        observation, reward, _, _, info = env.step(episode.actions[t])
        assert episode.rewards[t] == np.float32(reward)
        assert bool(episode.dones[t]) is info["success"] is (t == len(episode) - 1)


def test_noise_is_executed_but_the_label_is_the_experts_clean_clipped_action() -> None:
    clean, noisy = tried(), tried(noise=0.5)
    assert not np.array_equal(clean.observations["proprio"][5], noisy.observations["proprio"][5])
    expert = SUITE.expert(TASK)
    assert expert is not None
    for t in range(len(noisy)):
        seen = {key: array[t] for key, array in noisy.observations.items()}
        assert np.array_equal(noisy.actions[t], np.clip(expert(seen), -1, 1))


def test_everything_but_the_ends_is_float32() -> None:
    episode = tried()
    assert {array.dtype for array in (*episode.observations.values(), episode.actions, episode.rewards)} == {
        np.dtype(np.float32)
    }


def test_a_failure_leaves_no_episode() -> None:
    assert attempt(settings(noise=100.0), "peg-insert-side-v3", 0) is None


def test_an_unknown_task_is_answered() -> None:
    with pytest.raises(SimulatorError, match="unknown task of metaworld-mt10 'window-opn-v3'; did you mean"):
        attempt(settings(), "window-opn-v3", 0)


def test_an_attempt_that_takes_too_long_has_failed() -> None:
    steps = len(tried())
    assert len(tried(max_steps=steps)) == steps
    assert attempt(settings(max_steps=steps - 1), TASK, 0) is None


def test_steps_after_success_come_on_top() -> None:
    short, long = tried(), tried(max_steps=len(tried()), steps_after_success=7)
    assert len(long) == len(short) + 7
    assert np.array_equal(long.actions[: len(short)], short.actions)
    assert np.flatnonzero(long.dones).tolist() == [len(long) - 1]


def test_images_are_what_the_environment_shows_after_the_actions_before() -> None:
    cameras = {"corner": CameraConfig(size=12, crop=(0.2, 0.2, 0.8, 0.8)), "corner2": CameraConfig(size=16)}
    plain, episode = tried(), tried(cameras=cameras)
    assert np.array_equal(episode.actions, plain.actions)
    views = (CameraView("corner", 12, (0.2, 0.2, 0.8, 0.8)), CameraView("corner2", 16))
    env = SUITE.make(TASK, views=views)
    observation, _ = env.reset(seed=placement("collection", 0, TASK, 0))
    assert set(episode.observations) == set(observation) == {*plain.observations, *(view.key for view in views)}
    for t in range(len(episode)):
        assert all(np.array_equal(observation[key], episode.observations[key][t]) for key in observation)
        observation = env.step(episode.actions[t])[0]
    assert episode.observations["corner2_image"].dtype == np.uint8
