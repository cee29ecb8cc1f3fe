"""What every task of every suite must pass, whoever made it: ours, a package's, or one that a file describes."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest

from mtil.errors import SimulatorError
from mtil.sim.base import Expert, Simulator, load, placement

DESCRIBED = """
horizon: 40
imports: [gymnasium_robotics]
success: {kind: reward, at_least: -0.01}
tasks:
  swing-up: {id: Pendulum-v1}
  drive-up: {id: MountainCarContinuous-v0, success: {kind: terminated}}
  reach:
    id: Reacher-v5
    observations: {arm: {of: ., stop: 6}, way: {of: ., start: 6}}
    success: {kind: info, key: reward_dist, at_least: -0.02}
  push: {id: FetchPush-v4, success: {kind: info, key: is_success}}
"""
TASKS = [
    *((suite, task.name) for suite in ("metaworld-mt50", "fetch") for task in load(suite).tasks()),
    *(("described", task) for task in ("swing-up", "drive-up", "reach", "push")),
    *(("spots", task) for task in ("red", "blue")),
]


@pytest.fixture(scope="module")
def suites(tmp_path_factory: pytest.TempPathFactory, third_party: Path) -> Iterator[dict[str, Simulator]]:
    path = tmp_path_factory.mktemp("described") / "described.yaml"
    path.write_text(DESCRIBED)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(third_party)
        yield {suite: load(suite) for suite in ("metaworld-mt50", "fetch", "spots")} | {"described": load(str(path))}


@pytest.fixture(scope="module", params=TASKS, ids="-".join)
def suite_and_task(request: pytest.FixtureRequest, suites: dict[str, Simulator]) -> tuple[Simulator, str]:
    suite, task = request.param
    return suites[suite], task


@pytest.fixture(scope="module")
def suite(suite_and_task: tuple[Simulator, str]) -> Simulator:
    return suite_and_task[0]


@pytest.fixture(scope="module")
def task(suite_and_task: tuple[Simulator, str]) -> str:
    return suite_and_task[1]


@pytest.fixture(scope="module")
def used(suite: Simulator, task: str) -> Iterator[gymnasium.Env]:
    """An environment that the tests of its task share, each leaving it in a state of its own."""
    env = suite.make(task)
    yield env
    env.close()


def roll_out(env: gymnasium.Env, expert: Expert | None, start: int, *, steps: int) -> list[np.ndarray]:
    """Everything that is seen, from the reset on; rewards and successes too. Without an expert, actions are random."""
    observation, info = env.reset(seed=start)
    seen = [np.concatenate([*observation.values(), [0.0, info["success"]]])]
    for action in np.random.default_rng(start).uniform(-1, 1, (steps, *(env.action_space.shape or ()))):
        action = 0.1 * action + expert(observation) if expert else action
        observation, reward, *_, info = env.step(action.astype(np.float32))
        seen.append(np.concatenate([*observation.values(), [reward, info["success"]]]))
    return seen


def beginning(env: gymnasium.Env, **reset: Any) -> bytes:
    return np.concatenate([*env.reset(**reset)[0].values()]).tobytes()


def test_what_comes_out_is_what_the_spaces_promise(used: gymnasium.Env) -> None:
    assert isinstance(used.observation_space, gymnasium.spaces.Dict)
    assert isinstance(used.action_space, gymnasium.spaces.Box)
    assert used.action_space.dtype == np.float32
    assert len(used.action_space.shape) == 1
    for key, space in used.observation_space.items():
        assert (space.dtype, len(space.shape or ())) == (np.float32, 1), key
    observation, info = used.reset(seed=2**64 - 1)
    assert used.observation_space.contains(observation)
    assert isinstance(info["success"], bool)
    observation, reward, terminated, truncated, info = used.step(np.full(used.action_space.shape, 7.0))
    assert used.observation_space.contains(observation)
    assert isinstance(reward, float)
    assert isinstance(info["success"], bool)
    assert not terminated
    assert not truncated


def test_returned_observations_share_no_memory(used: gymnasium.Env) -> None:
    first, _ = used.reset(seed=0)
    kept = {key: array.copy() for key, array in first.items()}
    second, *_ = used.step(np.ones(used.action_space.shape or (), np.float32))
    for a, b in itertools.product(first.values(), second.values()):
        assert not np.shares_memory(a, b)
    assert all(np.array_equal(first[key], kept[key]) for key in kept)


def test_a_used_environment_and_a_fresh_one_agree_to_the_bit(suite: Simulator, task: str, used: gymnasium.Env) -> None:
    expert, fresh = suite.expert(task), suite.make(task)
    roll_out(used, expert, 1, steps=60)
    again = roll_out(used, expert, 2, steps=30)
    assert np.array_equal(again, roll_out(fresh, expert, 2, steps=30))
    fresh.close()


def test_placements_differ_and_show_in_the_first_observation(used: gymnasium.Env, task: str) -> None:
    starts = {beginning(used, seed=placement("evaluation", 0, task, episode)) for episode in range(4)}
    assert len(starts) == 4


def test_without_a_seed_each_reset_draws_another_placement(used: gymnasium.Env) -> None:
    used.reset(seed=0)
    starts = [beginning(used) for _ in range(3)]
    used.reset(seed=0)
    assert starts == [beginning(used) for _ in range(3)]
    assert len(set(starts)) == 3


def test_a_task_tells_of_itself(suite: Simulator, task: str) -> None:
    told = {each.name: each for each in suite.tasks()}
    assert task in told
    assert len(told) == len(suite.tasks())
    args = suite.env_args(task)
    assert {"env_name", "env_version", "type", "env_kwargs"} == args.keys()
    assert suite.success
    assert suite.horizon > 0


def test_what_does_not_exist_is_answered_with_what_does(suite: Simulator, task: str) -> None:
    for ask in (suite.make, suite.expert, suite.env_args):
        with pytest.raises(SimulatorError, match=rf"unknown task of .* 'nothing'.*valid: .*{task}"):
            ask("nothing")
    with pytest.raises(SimulatorError, match=r"unknown camera 'nowhere'.*valid: "):
        suite.make(task, camera="nowhere")


def test_an_episode_ends_at_the_horizon_at_the_latest(suite: Simulator, task: str, used: gymnasium.Env) -> None:
    if suite.name == "metaworld-mt50" and task != "reach-v3":
        return  # of five hundred steps; one task is enough
    used.reset(seed=0)
    still, ends = np.zeros(used.action_space.shape or (), np.float32), [False]
    while not ends[-1]:
        _, _, terminated, truncated, _ = used.step(still)
        ends.append(terminated or truncated)
    assert len(ends) - 1 == suite.horizon
    used.reset(seed=0)
    assert not used.step(still)[3]
