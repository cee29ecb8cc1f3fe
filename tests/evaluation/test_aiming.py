"""Episodes are given the goals of their own placements."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest
from torch import Tensor

from mtil.errors import CheckpointError
from mtil.evaluation.aiming import aims
from mtil.evaluation.conditioning import descriptors
from mtil.evaluation.controls import controlled
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


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """The goals that policies embed."""
    found: list[np.ndarray] = []
    embed = Policy.embed

    def embed_and_keep(policy: Policy, kind: str, descriptors: Sequence[np.ndarray]) -> Tensor:
        found.extend(descriptors)
        return embed(policy, kind, descriptors)

    monkeypatch.setattr(Policy, "embed", embed_and_keep)
    return found


def test_the_goal_is_where_the_expert_ends(toy_suite: str, embedded: list[np.ndarray]) -> None:
    suite = load(toy_suite)
    found = aims(policy_for(POSITION), suite, TASKS, seed=5)
    env = suite.make("near")
    for episode in (2, 0, 60):  # whichever is asked for
        seen, _ = env.reset(seed=placement("evaluation", 5, "near", episode))
        assert found["near"][episode].words == f"goal {episode}"
        goal = embedded[-1]
        np.testing.assert_allclose(goal[:2], seen["goal"], atol=1e-5)
        assert np.isnan(goal[2])
    assert found["impossible"][1].words == "goal 1 (where the expert failed)"


def test_as_the_camera_sees_it(toy_suite: str, embedded: list[np.ndarray]) -> None:
    assert aims(policy_for(PICTURE), load(toy_suite), ["near"], seed=5)["near"][0].z.shape == (4,)
    assert embedded[-1].shape == (16, 16, 3)
    assert embedded[-1].dtype == np.uint8
    assert embedded[-1].any()


def test_each_episode_is_given_its_own(toy_suite: str) -> None:
    """Also under a control, and when it is run alone."""
    policy, suite = policy_for(POSITION), load(toy_suite)
    told = descriptors(policy, "goal", TASKS, goals=aims(policy, suite, TASKS, seed=5))
    trials = trials_of(TASKS, told, episodes=range(3), seed=5)
    assert len({tuple(trial.z.tolist()) for trial in trials if trial.task == "near"}) == 3
    alone = descriptors(policy, "goal", ["near"], goals=aims(policy, suite, ["near"], seed=5))
    (again,) = trials_of(["near"], alone, episodes=[2], seed=5)
    assert again.z.equal(trials[2].z)
    swapped = trials_of(TASKS, controlled(told, "wrong", seed=0), episodes=range(3), seed=5)
    assert [trial.told for trial in swapped[3:]] == [f"goal {episode}" for episode in range(3)]


def test_goals_that_the_simulator_does_not_show(toy_suite: str) -> None:
    elsewhere = policy_for(dataclasses.replace(POSITION, key="objects"))
    with pytest.raises(CheckpointError, match="goals are made of 'objects', which toy does not show; it shows posi"):
        aims(elsewhere, load(toy_suite), ["near"], seed=0)["near"][0]
    larger = policy_for(dataclasses.replace(POSITION, key="process"))
    with pytest.raises(CheckpointError, match=r"near: expected process of shape \(3,\), toy has \(2,\)"):
        aims(larger, load(toy_suite), ["near"], seed=0)["near"][0]
