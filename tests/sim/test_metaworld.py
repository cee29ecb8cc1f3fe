"""What is Meta-World's own, beside what every suite must pass."""

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import yaml
from metaworld import env_dict

from mtil.errors import SimulatorError
from mtil.sim.base import Simulator, load
from mtil.sim.metaworld import MetaWorldEnv
from mtil.types import CameraView

SUITE = load("metaworld-mt50")
TASKS = [task.name for task in SUITE.tasks()]
WALL = ("wall", "barrier", "obstacle")
VIEWS = (CameraView("corner", 24, (0.2, 0.2, 0.8, 0.8)), CameraView("corner2", 32))
SHAPES = {"proprio": (4,), "objects": (14,), "goal": (3,)}


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def used(task: str) -> Iterator[gymnasium.Env]:
    """An environment that the tests of its task share, each leaving it in a state of its own."""
    env = SUITE.make(task)
    yield env
    env.close()


def succeeds(env: gymnasium.Env, task: str, placement: int) -> bool:
    expert = SUITE.expert(task)
    assert expert is not None
    observation, _ = env.reset(seed=placement)
    for _ in range(SUITE.horizon):
        observation, _, _, _, info = env.step(expert(observation))
        if info["success"]:
            return True
    return False


def test_observations_have_three_parts(used: gymnasium.Env) -> None:
    assert isinstance(used.observation_space, gymnasium.spaces.Dict)
    assert {key: space.shape for key, space in used.observation_space.items()} == SHAPES
    assert used.reset(seed=0)[1]["success"] is False


def test_the_goal_stands_still(used: gymnasium.Env) -> None:
    before, _ = used.reset(seed=3)
    after, *_ = used.step(np.zeros(4, np.float32))
    assert before["goal"].any()
    assert np.array_equal(before["goal"], after["goal"])


def test_the_expert_succeeds(used: gymnasium.Env, task: str) -> None:
    assert any(succeeds(used, task, placement) for placement in range(3))


def test_an_episode_is_meta_worlds_own_for_the_same_placement(task: str) -> None:
    ours, expert = MetaWorldEnv(task=task), SUITE.expert(task)
    assert expert is not None
    for placement in (4, 5):
        observation, _ = ours.reset(seed=placement)
    theirs = env_dict.ALL_V3_ENVIRONMENTS[task]()
    theirs._set_task_called, theirs._partially_observable = True, False
    del theirs.sawyer_observation_space
    theirs._last_rand_vec = ours._env._last_rand_vec
    theirs.reset()
    rng = np.random.default_rng(0)
    for _ in range(60):
        action = expert(observation) + rng.normal(0, 0.2, 4).astype(np.float32)
        observation, reward, *_ = ours.step(action)
        vector, their_reward, *_ = theirs.step(action.clip(-1, 1))
        assert np.array_equal(np.concatenate([*observation.values()]), vector[[*range(18), 36, 37, 38]].astype("f4"))
        assert reward == their_reward


def test_the_first_observation_shows_where_things_are() -> None:
    env = MetaWorldEnv(task="window-close-v3")
    first, _ = env.reset(seed=0)
    assert np.linalg.norm(first["objects"] - env.step(np.zeros(4))[0]["objects"]) < 0.01


@pytest.mark.parametrize(("name", "size"), [("metaworld-mt10", 10), ("metaworld-mt50", 50), ("metaworld-ml45", 45)])
def test_suites_hold_meta_worlds_tasks(name: str, size: int) -> None:
    suite = load(name)
    assert suite.name == name
    assert len({task.name for task in suite.tasks()}) == size
    assert set(suite.tasks()) <= set(SUITE.tasks())


@pytest.mark.parametrize("method", [Simulator.make, Simulator.expert, Simulator.env_args])
def test_a_task_of_another_suite_is_unknown(method) -> None:
    with pytest.raises(SimulatorError, match=r"unknown task of metaworld-mt10 'hammer-v3'.*valid: reach-v3, push-v3"):
        getattr(load("metaworld-mt10"), method.__name__)("hammer-v3")


def test_every_task_can_be_told_from_every_other() -> None:
    sentences = Counter(sentence.lower() for task in SUITE.tasks() for sentence in task.instructions)
    assert [sentence for sentence, count in sentences.items() if count > 1] == []
    assert all(len(task.instructions) >= 4 for task in SUITE.tasks())
    assert all(sentence == sentence.strip() for sentence in sentences)


@pytest.mark.parametrize("task", [task for task in TASKS if "wall" in task])
def test_a_task_with_a_wall_names_it_and_its_sibling_does_not(task: str) -> None:
    told = {task.name: task.instructions for task in SUITE.tasks()}
    assert all(any(word in sentence for word in WALL) for sentence in told[task])
    assert not any(word in sentence for word in WALL for sentence in told[task.replace("-wall", "")])


def test_held_out_instructions_are_held_out() -> None:
    path = Path(__file__).parents[2] / "data" / "instructions" / "held-out.yaml"
    held_out = yaml.safe_load(path.read_text())
    trained_on = {sentence.lower() for task in SUITE.tasks() for sentence in task.instructions}
    assert set(held_out) == set(TASKS)
    assert all(len(sentences) >= 3 for sentences in held_out.values())
    assert not {sentence.lower() for sentences in held_out.values() for sentence in sentences} & trained_on


def test_rendering_shows_and_changes_nothing() -> None:
    plain, watched = SUITE.make("push-v3"), SUITE.make("push-v3", camera="corner2", image_size=64)
    plain.reset(seed=1)
    watched.reset(seed=1)
    for _ in range(20):
        image = watched.render()
        assert isinstance(image, np.ndarray)
        assert image.shape == (64, 64, 3)
        assert image.dtype == np.uint8
        action = np.array([0.3, 0.7, -1.0, 0.2], np.float32)
        a, b = plain.step(action)[0], watched.step(action)[0]
        assert all(np.array_equal(a[key], b[key]) for key in a)
    watched.close()


def test_what_no_camera_will_see_is_left_out() -> None:
    plain, watched = (MetaWorldEnv(task="door-open-v3", camera=camera)._env.model for camera in (None, "corner2"))
    assert plain.nmesh < watched.nmesh / 3
    assert plain.nbody == watched.nbody
    assert plain.geom("handle").name  # the task looks where it is


def test_without_a_camera_there_is_nothing_to_render() -> None:
    with pytest.raises(SimulatorError, match="made without a camera"):
        SUITE.make("push-v3").render()


def test_an_unknown_camera_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        SimulatorError, match=r"unknown camera 'corner5'; did you mean .*valid: topview, corner, corner2"
    ):
        SUITE.make("push-v3", camera="corner5")


def test_views_are_observations_that_change_nothing_else() -> None:
    plain, watched = SUITE.make("push-v3"), SUITE.make("push-v3", camera="corner2", image_size=32, views=VIEWS)
    assert isinstance(watched.observation_space, gymnasium.spaces.Dict)
    shapes = {"corner_image": (24, 24, 3), "corner2_image": (32, 32, 3)}
    assert {key: space.shape for key, space in watched.observation_space.items()} == SHAPES | shapes
    (a, _), (b, _) = plain.reset(seed=1), watched.reset(seed=1)
    for action in np.random.default_rng(0).uniform(-1, 1, (5, 4)).astype(np.float32):
        assert watched.observation_space.contains(b)
        assert all(np.array_equal(a[key], b[key]) for key in a)
        a, b = plain.step(action)[0], watched.step(action)[0]
    watched.close()


def test_an_observation_shows_what_was_done_before_it() -> None:
    """After the reset and after each step: what `render` shows at that moment, four of its pixels to one."""
    view = CameraView("corner3", 48)
    env = SUITE.make("drawer-open-v3", views=(view,))
    filmed = SUITE.make("drawer-open-v3", camera="corner3", image_size=96)
    seen, _ = env.reset(seed=3)
    filmed.reset(seed=3)
    shown = []
    for action in np.random.default_rng(0).uniform(-1, 1, (4, 4)).astype(np.float32):
        image = filmed.render()
        assert isinstance(image, np.ndarray)
        assert np.abs(seen[view.key] - image.reshape(48, 2, 48, 2, 3).mean((1, 3))).max() <= 0.5
        shown.append(seen[view.key])
        seen = env.step(action)[0]
        filmed.step(action)
    assert len({each.tobytes() for each in shown}) == len(shown)
    assert not any(np.shares_memory(a, b) for a, b in itertools.combinations(shown, 2))


def test_tasks_that_take_turns_in_one_process_each_show_what_they_show_alone() -> None:
    tasks = ("push-v3", "door-open-v3", "door-close-v3", "push-v3")
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 4)).astype(np.float32)

    def begin(seed: int, task: str) -> tuple[gymnasium.Env, list[dict[str, np.ndarray]]]:
        env = SUITE.make(task, camera="corner4", image_size=40, views=VIEWS[: 1 + seed % 2])
        return env, [env.reset(seed=seed)[0]]

    def go_on(env: gymnasium.Env, seen: list[dict[str, np.ndarray]]) -> None:
        observation = env.step(actions[len(seen) - 1])[0]
        seen.append(observation | {"film": env.render()})

    alone = []
    for seed, task in enumerate(tasks):
        env, seen = begin(seed, task)
        for _ in actions:
            go_on(env, seen)
        env.close()
        alone.append(seen)
    together = [begin(seed, task) for seed, task in enumerate(tasks)]
    for _ in actions:
        for env, seen in reversed(together):
            go_on(env, seen)
    for (_, seen), expected in zip(together, alone, strict=True):
        for a, b in zip(seen, expected, strict=True):
            assert a.keys() == b.keys()
            assert all(np.array_equal(a[key], b[key]) for key in a)


def test_a_view_of_an_unknown_camera_is_answered_with_the_known_ones() -> None:
    with pytest.raises(SimulatorError, match=r"unknown camera 'korner'; did you mean 'corner.*valid: topview, corner"):
        SUITE.make("push-v3", views=(CameraView("korner", 84),))


def test_experts_do_not_look_at_images() -> None:
    expert = SUITE.expert("push-v3")
    assert expert is not None
    seen, _ = SUITE.make("push-v3", views=VIEWS).reset(seed=0)
    assert np.array_equal(expert(seen), expert({key: seen[key] for key in SHAPES}))
