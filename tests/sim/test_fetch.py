"""What is Fetch's own, beside Gymnasium-Robotics' environments and what every suite must pass."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

from collections import Counter
from collections.abc import Iterator

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium_robotics.envs.fetch.fetch_env import DEFAULT_CAMERA_CONFIG

from mtil.errors import SimulatorError
from mtil.sim.base import Simulator, load, placement
from mtil.sim.fetch import FetchEnv
from mtil.types import CameraView

SUITE = load("fetch")
TASKS = [task.name for task in SUITE.tasks()]
VIEWS = (CameraView("external_camera_0", 24, (0.2, 0.2, 0.8, 0.8)), CameraView("free", 32))
SIZES = {"FetchReach-v4": 10, "FetchPush-v4": 25, "FetchPickAndPlace-v4": 25}


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def used(task: str) -> Iterator[gymnasium.Env]:
    """An environment that the tests of its task share, each leaving it in a state of its own."""
    env = SUITE.make(task)
    yield env
    env.close()


def roll_out(env: gymnasium.Env, task: str, start: int, *, noise: float = 0.0, steps: int) -> list[np.ndarray]:
    """Everything the expert sees, from the reset on; rewards and successes too."""
    expert, rng = SUITE.expert(task), np.random.default_rng(start)
    assert expert is not None
    observation, info = env.reset(seed=start)
    seen = [np.concatenate([*observation.values(), [0.0, info["success"]]])]
    for _ in range(steps):
        observation, reward, _, _, info = env.step(expert(observation) + rng.normal(0, noise, 4))
        seen.append(np.concatenate([*observation.values(), [reward, info["success"]]]))
    return seen


def test_observations_are_fetchs(used: gymnasium.Env, task: str) -> None:
    assert isinstance(used.observation_space, gymnasium.spaces.Dict)
    shapes = {key: space.shape for key, space in used.observation_space.items()}
    assert shapes == {"observation": (SIZES[task],), "achieved_goal": (3,), "desired_goal": (3,)}


def test_an_episode_is_fetchs_own_for_the_same_placement(used: gymnasium.Env, task: str) -> None:
    theirs, expert = gymnasium.make(task, disable_env_checker=True), SUITE.expert(task)
    assert expert is not None
    for start in (4, 5):
        (a, info), (b, _) = used.reset(seed=start), theirs.reset(seed=start)
        for action in np.random.default_rng(start).normal(0, 0.3, (50, 4)).astype(np.float32):
            assert all(np.array_equal(a[key], b[key].astype(np.float32)) for key in b)
            action = np.clip(action + expert(a), -1, 1)
            (a, reward, *ends, info), (b, their_reward, *their_ends, their_info) = (
                used.step(action),
                theirs.step(action),
            )
            assert (reward, ends, info["success"]) == (their_reward, their_ends, their_info["is_success"])
    theirs.close()


def test_the_goal_stands_still_and_can_be_asked_for(used: gymnasium.Env) -> None:
    before, _ = used.reset(seed=3)
    after, *_ = used.step(np.zeros(4, np.float32))
    assert np.array_equal(before["desired_goal"], after["desired_goal"])
    assert isinstance(used, FetchEnv)
    assert np.array_equal(used.desired_goal, before["desired_goal"])
    assert used.desired_goal.dtype == np.float32


def is_near(observation: dict[str, np.ndarray]) -> bool:
    return bool(np.linalg.norm(observation["achieved_goal"] - observation["desired_goal"]) < 0.05)


def test_the_goals_of_placements_are_those_that_they_state() -> None:
    placements = [placement("evaluation", 3, "FetchPush-v4", episode) for episode in range(3)]
    found = list(load("fetch").goals("FetchPush-v4", placements, keys=["achieved_goal"]))
    env = load("fetch").make("FetchPush-v4")
    for seed, reached in zip(placements, found, strict=True):
        seen, _ = env.reset(seed=seed)
        assert reached.success
        np.testing.assert_array_equal(reached.observation["achieved_goal"], seen["desired_goal"])


def test_goals_that_are_seen_are_where_the_expert_ends() -> None:
    view = CameraView("free", 32)
    (found,) = load("fetch").goals("FetchReach-v4", [5], keys=[view.key], views=[view])
    assert found.success
    assert found.observation[view.key].shape == (32, 32, 3)
    assert np.linalg.norm(found.observation["achieved_goal"] - found.observation["desired_goal"]) < 0.05


def test_a_reset_tells_whether_the_goal_is_reached_already(used: gymnasium.Env) -> None:
    starts = [used.reset(seed=seed) for seed in range(300)]
    solved = [info["success"] for _, info in starts]
    assert solved == [is_near(observation) for observation, _ in starts]
    assert 0 < np.mean(solved) < 0.1


def test_success_is_five_centimetres(used: gymnasium.Env, task: str) -> None:
    expert = SUITE.expert(task)
    assert expert is not None
    observation, info = used.reset(seed=0)
    for _ in range(40):
        observation, *_, info = used.step(expert(observation))
        assert info["success"] == is_near(observation)
    assert info["success"]


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_expert_succeeds_and_stays(used: gymnasium.Env, task: str, noise: float) -> None:
    for index in range(6):
        seen = roll_out(used, task, placement("collection", 0, task, index), noise=noise, steps=45)
        assert any(step[-1] for step in seen)
        assert seen[-1][-1]


@pytest.mark.parametrize("method", [Simulator.make, Simulator.expert, Simulator.env_args])
def test_a_task_of_another_suite_is_unknown(method) -> None:
    with pytest.raises(SimulatorError, match=r"unknown task of fetch 'FetchPush-v3'; did you mean 'FetchPush-v4'\?"):
        getattr(SUITE, method.__name__)("FetchPush-v3")


def test_a_file_tells_where_its_demonstrations_come_from() -> None:
    args = SUITE.env_args("FetchPush-v4")
    assert args.pop("env_version").startswith("1.")
    assert args == {"env_name": "FetchPush-v4", "type": 2, "env_kwargs": {"suite": "fetch"}}


def test_every_task_can_be_told_from_every_other() -> None:
    sentences = Counter(sentence.lower() for task in SUITE.tasks() for sentence in task.instructions)
    assert [sentence for sentence, count in sentences.items() if count > 1] == []
    assert all(len(task.instructions) >= 5 for task in SUITE.tasks())


def test_rendering_shows_and_changes_nothing(task: str) -> None:
    plain, watched = SUITE.make(task), SUITE.make(task, camera=SUITE.camera, image_size=64, views=VIEWS)
    assert isinstance(watched.observation_space, gymnasium.spaces.Dict)
    (a, _), (b, _) = plain.reset(seed=1), watched.reset(seed=1)
    assert {key: b[key].shape for key in b.keys() - a.keys()} == {
        "external_camera_0_image": (24, 24, 3),
        "free_image": (32, 32, 3),
    }
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 4)).astype(np.float32):
        image = watched.render()
        assert isinstance(image, np.ndarray)
        assert image.shape == (64, 64, 3)
        assert image.std() > 10
        assert watched.observation_space.contains(b)
        assert all(np.array_equal(a[key], b[key]) for key in a)
        a, b = plain.step(action)[0], watched.step(action)[0]
    watched.close()


def test_the_goal_is_seen_where_it_is_from_the_first_picture_on() -> None:
    env = SUITE.make("FetchReach-v4", camera="external_camera_0", image_size=96)
    shown = []
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        spot = (96 * _projected(env, observation["desired_goal"])).astype(int)
        first = _is_red(env.render(), *spot)
        env.step(np.zeros(4, np.float32))
        shown.append([first, _is_red(env.render(), *spot)])
    assert np.mean(shown, axis=0) == pytest.approx(0.8, abs=0.2)  # the arm hides the others
    env.close()


def _is_red(image, column: int, row: int) -> bool:
    red, *others = image[row, column]
    return red > 90 and max(others) < 40


def _projected(env: gymnasium.Env, point: np.ndarray) -> np.ndarray:
    """Where the camera should show a point: fractions of the width and the height."""
    assert isinstance(env, FetchEnv)
    model, data = env._env.model, env._env.data
    camera = model.camera("external_camera_0").id
    right, up, back = (point - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
    half = -back * np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    return np.array([1 + right / half, 1 - up / half]) / 2


def test_pictures_do_not_tell_the_last_action() -> None:
    env = FetchEnv(task="FetchPush-v4", camera="free", image_size=64)
    env.reset(seed=0)
    env.step(np.zeros(4, np.float32))
    before = env.render()
    env._env.data.mocap_pos += 0.1
    mujoco.mj_kinematics(env._env.model, env._env.data)
    assert np.array_equal(before, env.render())
    env.close()


def test_the_free_camera_is_where_fetchs_viewer_stands() -> None:
    env = FetchEnv(task="FetchPush-v4")
    env.reset(seed=0)
    model, data = env._env.model, env._env.data
    viewer, scene = mujoco.MjvCamera(), mujoco.MjvScene(model, 100)
    for key, value in DEFAULT_CAMERA_CONFIG.items():
        setattr(viewer, key, value)
    mujoco.mjv_updateScene(
        model, data, mujoco.MjvOption(), mujoco.MjvPerturb(), viewer, mujoco.mjtCatBit.mjCAT_ALL, scene
    )
    theirs, ours = scene.camera[0], data.camera("free")
    eyes_apart = 0.1
    assert np.allclose(ours.xpos, theirs.pos, atol=eyes_apart)
    assert np.allclose(ours.xmat.reshape(3, 3)[:, 1:].T, [theirs.up, np.negative(theirs.forward)], atol=1e-5)


def test_without_a_camera_there_is_nothing_to_render() -> None:
    with pytest.raises(SimulatorError, match="made without a camera"):
        SUITE.make("FetchPush-v4").render()


@pytest.mark.parametrize("seen", [{"camera": "fere"}, {"views": (CameraView("fere", 84),)}])
def test_an_unknown_camera_is_answered_with_the_known_ones(seen) -> None:
    with pytest.raises(
        SimulatorError, match=r"unknown camera 'fere'; did you mean 'free'\? valid: .*external_camera_0"
    ):
        SUITE.make("FetchPush-v4", **seen)


def test_experts_do_not_look_at_images() -> None:
    expert = SUITE.expert("FetchPush-v4")
    assert expert is not None
    seen, _ = SUITE.make("FetchPush-v4", views=VIEWS).reset(seed=0)
    assert np.array_equal(expert(seen), expert({key: seen[key] for key in seen if "image" not in key}))
