"""Episodes are given the goals of their own placements."""

import dataclasses

import numpy as np
import pytest

from mtil.errors import CheckpointError
from mtil.evaluation.aiming import aims
from mtil.evaluation.conditioning import descriptors
from mtil.evaluation.trials import trials_of
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.sim.base import load, placement
from mtil.types import CameraView, DatasetSpec, FeatureSpec, Task

TASKS = ("near", "impossible")
VIEW = CameraView("top", 16)
POSITION = FeatureSpec("position", (3,), "float32", "state")  # another task has a dimension more
PICTURE = FeatureSpec(VIEW.key, (16, 16, 3), "uint8", "image", VIEW)


def policy_for(*goal: FeatureSpec) -> Policy:
    action = FeatureSpec("actions", (2,), "float32", "action")
    widths = {"position": (2, 3, 2), "actions": (2, 2, 2), "objects": (2, 2, 2), "process": (3, 3, 3)}
    spec = DatasetSpec((Task("near"), Task("elsewhere"), Task("impossible")), (POSITION,), action, widths, goal=goal)
    backbone = {"kind": "cnn", "channels": [16], "keypoints": 4, "film": False}
    encoder = {"kind": "goal", "width": 4, "hidden": 4, "backbone": backbone}
    return Policy(PolicyConfig.model_validate({"task_encoder": encoder, "trunk": {"width": 4, "depth": 1}}), spec)


def test_the_goal_is_where_the_expert_ends(toy_suite: str) -> None:
    suite = load(toy_suite)
    found = aims(policy_for(POSITION), suite, TASKS, episodes=3, seed=5)
    env = suite.make("near")
    for episode, aim in enumerate(found["near"]):
        seen, _ = env.reset(seed=placement("evaluation", 5, "near", episode))
        assert aim.name == f"goal {episode}"
        np.testing.assert_allclose(aim.goal[:2], seen["goal"], atol=1e-5)
        assert np.isnan(aim.goal[2])
    assert [aim.name for aim in found["impossible"]] == [f"goal {n} (where the expert failed)" for n in range(3)]


def test_as_the_camera_sees_it(toy_suite: str) -> None:
    found = aims(policy_for(PICTURE), load(toy_suite), ["near"], episodes=2, seed=5)
    assert all(aim.goal.shape == (16, 16, 3) and aim.goal.dtype == np.uint8 for aim in found["near"])
    assert found["near"][0].goal.any()


def test_each_episode_is_given_its_own(toy_suite: str) -> None:
    policy = policy_for(POSITION)
    goals = aims(policy, load(toy_suite), TASKS, episodes=3, seed=5)
    told = descriptors(policy, "goal", TASKS, goals=goals)
    for trial in trials_of(TASKS, told, episodes=range(3), seed=5):
        z = policy.embed("goal", [goals[trial.task][trial.episode].goal])[0]
        assert trial.z.equal(z)


def test_goals_that_the_simulator_does_not_show(toy_suite: str) -> None:
    elsewhere = policy_for(dataclasses.replace(POSITION, key="objects"))
    with pytest.raises(CheckpointError, match="goals are made of 'objects', which toy does not show; it shows posi"):
        aims(elsewhere, load(toy_suite), ["near"], episodes=1, seed=0)
    larger = policy_for(dataclasses.replace(POSITION, key="process"))
    with pytest.raises(CheckpointError, match=r"near: expected process of shape \(3,\), toy has \(2,\)"):
        aims(larger, load(toy_suite), ["near"], episodes=1, seed=0)
