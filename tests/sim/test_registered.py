"""A YAML file makes a suite of environments that are registered with Gymnasium."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from mtil.errors import ConfigError, MtilError, SimulatorError
from mtil.sim.base import load
from mtil.sim.slot import Reset, Transition
from mtil.sim.workers import EnvironmentPool
from mtil.types import CameraView, Task

Described = Callable[[str], str]

REACHER = """
name: arms
horizon: 60
tasks:
  near:
    id: Reacher-v5
    instructions: [bring the fingertip to the dot, reach]
    success: {kind: info, key: reward_dist, at_least: -0.02}
"""
ODD = """
horizon: 10
success: {kind: terminated}
tasks: {odd: {id: Odd-v0, kwargs: KWARGS}}
"""


class Odd(gymnasium.Env):
    """An environment with the faults that it is asked to have; it ends by itself after three steps."""

    metadata = {"render_modes": ["ansi"], "render_fps": 7}  # noqa: RUF012

    def __init__(self, fault: str = "", render_mode: str | None = None) -> None:
        self._fault, self._episodes, self.render_mode = fault, 0, render_mode
        if fault == "fails":
            raise RuntimeError("no licence")
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float64)
        self.action_space = Discrete(3) if fault == "discrete" else Box(-2, 2, (2, 1), np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, dict]:
        super().reset(seed=seed)
        if self._fault == "old":
            np.random.RandomState(seed)
        self._episodes, self._steps = self._episodes + 1, 0
        self._start = self.np_random.normal()
        return self._seen(np.zeros(2)), {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, Any, Any, bool, dict]:
        self._steps += 1
        return self._seen(action.ravel()), np.float64(self._steps), np.bool_(self._steps == 3), False, {}

    def _seen(self, action: np.ndarray) -> np.ndarray:
        return action + self._start + (self._episodes if self._fault == "carries" else 0)


@pytest.fixture
def odd(described: Described) -> Iterator[Callable[..., str]]:
    """Describes a suite of the odd environment with a fault; returns its path."""
    gymnasium.register("Odd-v0", lambda **kwargs: Odd(**kwargs), max_episode_steps=2)
    yield lambda fault="", more="": described(ODD.replace("KWARGS", f"{{fault: '{fault}'}}") + more)
    gymnasium.registry.pop("Odd-v0")


def test_a_suite_is_what_its_file_says(described: Described) -> None:
    suite = load(described(REACHER))
    assert suite.name == "arms"
    assert suite.horizon == 60
    assert suite.camera == "render"
    assert suite.success == "the environment's 'reward_dist' at least -0.02 at any step"
    assert suite.tasks() == (Task("near", ("bring the fingertip to the dot", "reach")),)
    args = suite.env_args("near")
    assert (args["env_name"], args["env_kwargs"]) == ("Reacher-v5", {"suite": "arms"})
    assert suite.expert("near") is None
    assert load(described(REACHER.replace("name: arms", ""))).name == "suite"


def test_an_episode_is_the_environments_own(described: Described) -> None:
    ours, theirs = load(described(REACHER)).make("near"), gymnasium.make("Reacher-v5")
    seed = 2**64 - 1
    (a, _), (b, _) = ours.reset(seed=seed), theirs.reset(seed=seed)
    for action in np.random.default_rng(0).uniform(-1, 1, (20, 2)).astype(np.float32):
        assert np.array_equal(a["observation"], b.astype(np.float32))
        (a, reward, *_, info), (b, expected, *_, told) = ours.step(action), theirs.step(action)
        assert reward == expected
        assert info == {"success": bool(told["reward_dist"] >= -0.02)}
    theirs.close()


def test_the_horizon_takes_the_place_of_the_registered_limit(odd: Callable[..., str], described: Described) -> None:
    env = load(described(REACHER)).make("near")
    env.reset(seed=0)
    ends = [env.step(np.zeros(2))[2:4] for _ in range(60)]  # its own would be 50
    assert ends == [(False, False)] * 59 + [(False, True)]
    env = load(odd()).make("odd")  # of two steps, as registered
    env.reset(seed=0)
    assert [env.step(np.zeros(2))[2:] for _ in range(3)] == [
        (False, False, {"success": False}),
        (False, False, {"success": False}),
        (True, False, {"success": True}),
    ]


def test_actions_are_vectors_within_bounds(odd: Callable[..., str]) -> None:
    env = load(odd()).make("odd")
    assert env.action_space == Box(-2, 2, (2,), np.float32)
    assert env.metadata["render_fps"] == 7
    start = env.reset(seed=0)[0]["observation"]
    np.testing.assert_allclose(env.step(np.array([7, -0.5]))[0]["observation"] - start, [2, -0.5], atol=1e-6)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("fails", "suite: odd: Odd-v0 cannot be made: RuntimeError: no licence"),
        ("discrete", r"suite: odd: expected actions in a Box of real numbers, as policies act, found Discrete\(3\)"),
        (
            "carries",
            "suite: odd: 'observation' differs between two episodes of the same seed and actions, .*repeatable",
        ),
        ("old", r"suite: odd: cannot be reset with a seed of 64 bits \(Seed must be between 0 .*; .*set seed_bits"),
    ],
)
def test_environments_that_will_not_do(odd: Callable[..., str], fault: str, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        load(odd(fault)).make("odd")


def test_what_can_be_lived_with(odd: Callable[..., str]) -> None:
    load(odd("old", "seed_bits: 32")).make("odd").reset(seed=2**64 - 1)
    suite = load(odd("carries", "repeatable: false"))
    suite.make("odd").reset(seed=0)
    assert suite.success.endswith("(terminated); episodes cannot be repeated")


def test_an_info_that_never_tells_is_noticed_when_the_episode_ends(odd: Callable[..., str]) -> None:
    path = Path(odd())
    path.write_text(path.read_text().replace("{kind: terminated}", "{kind: info, key: is_success}"))
    with pytest.raises(
        SimulatorError, match=r"suite: odd: success: expected 'is_success' in the .*info, found nothing"
    ):
        load(str(path)).make("odd")


def test_tasks_may_differ_from_the_suite(described: Described) -> None:
    suite = load(
        described("""
        horizon: 20
        kwargs: {g: 5.0}
        observations: {angle: {of: ., stop: 2}}
        success: {kind: return, at_least: -10}
        tasks:
          a: {id: Pendulum-v1}
          b: {id: Pendulum-v1, kwargs: {g: 1.62}, observations: {all: .}, success: {kind: reward, at_least: -0.1}}
          c: {id: Pendulum-v1}
        """)
    )
    assert suite.success == (
        "a, c: rewards that sum up to at least -10 at the end of the episode; b: a reward of at least -0.1 at any step"
    )
    assert [suite.env_args(task)["env_kwargs"]["g"] for task in ("a", "b")] == [5.0, 1.62]
    assert [list(suite.make(task).reset(seed=0)[0]) for task in ("a", "b")] == [["angle"], ["all"]]


def test_a_digest_tells_whether_episodes_go_otherwise(described: Described) -> None:
    def digest(old: str = "", new: str = "") -> str | None:
        return load(described(REACHER.replace(old, new))).digest

    assert digest("arms", "legs") == digest("reach]", "go]") == digest()
    others = {
        digest("60", "50"),
        digest("-0.02", "-0.01"),
        digest("at_least", "at_most"),
        digest("-v5", "-v5\n    kwargs: {}"),
    }
    assert len({*others, digest()}) == 5
    assert load("fetch").digest is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tasks: {a: {id: Reacher-v5}}", "suite.yaml: horizon: required"),
        ("horizon: 9\ntasks: {a: {id: Reacher-v5}}", r"suite.yaml: tasks.a.success: required, where none is given for"),
        (REACHER.replace("kind: info, ", ""), "suite.yaml: tasks.near.success: needs a 'kind'; valid: info, reward"),
        (REACHER.replace("instructions", "instruction"), "tasks.near.instruction: unknown key .*'instructions'"),
        (REACHER.replace("Reacher-v5", "Reacher-v7"), r"tasks.near.id: no environment 'Reacher-v7' .*\(but Reacher-v"),
        (REACHER + "imports: [no_such]", "imports: 'no_such' cannot be imported .*No module named .*PYTHONPATH"),
        (REACHER.replace("id: ", "id: no_such:"), "tasks.near.id: 'no_such' cannot be imported"),
    ],
)
def test_what_is_wrong_in_a_file_is_told(described: Described, text: str, message: str) -> None:
    with pytest.raises(MtilError, match=message):
        load(described(text))


def test_a_file_that_was_moved(described: Described, tmp_path: Path) -> None:
    Path(described(REACHER)).rename(tmp_path / "moved.yml")
    assert load(str(tmp_path / "moved.yml")).name == "arms"
    with pytest.raises(SimulatorError, match=r"suite\.yaml: no such file to describe a simulator; if it was moved"):
        load(str(tmp_path / "suite.yaml"))


def test_an_expert_is_a_function_of_a_module(
    described: Described, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "controllers.py").write_text("def still(observation):\n    return [0.0, 0.0]\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "controllers", raising=False)

    def expert(place: str) -> Any:
        return load(described(f"{REACHER}    expert: {place}")).expert("near")

    assert expert("controllers:still")({}) == [0.0, 0.0]
    with pytest.raises(SimulatorError, match="arms: near: expert: module 'controllers' has no function 'stil'"):
        expert("controllers:stil")
    with pytest.raises(SimulatorError, match="arms: near: expert: 'controller' cannot be imported"):
        expert("controller:still")
    with pytest.raises(ConfigError, match=r"tasks\.near\.expert: string should match pattern"):
        expert("controllers.still")


def test_views_and_films_show_what_the_environment_renders(described: Described) -> None:
    suite = load(described(REACHER))
    views = (CameraView("render", 24), CameraView("other", 24))
    with pytest.raises(SimulatorError, match="arms: unknown camera 'other'; valid: render"):
        suite.make("near", views=views)
    view = CameraView("render", 24, (0.25, 0.25, 0.75, 0.75))
    plain, watched = suite.make("near"), suite.make("near", camera="render", image_size=48, views=(view,))
    (a, _), (b, _) = plain.reset(seed=1), watched.reset(seed=1)
    for action in np.random.default_rng(0).uniform(-1, 1, (5, 2)).astype(np.float32):
        assert watched.observation_space.contains(b)
        assert np.array_equal(a["observation"], b["observation"])
        film = watched.render()
        assert isinstance(film, np.ndarray)
        assert film.shape == (48, 48, 3)
        assert np.abs(film[12:36, 12:36].astype(int) - b[view.key]).max() <= 1  # both round
        a, b = plain.step(action)[0], watched.step(action)[0]
    watched.close()
    with pytest.raises(SimulatorError, match="made without a camera"):
        plain.render()


def test_what_does_not_render(odd: Callable[..., str]) -> None:
    with pytest.raises(
        SimulatorError, match=r"suite: odd: Odd-v0 cannot be rendered: expected the mode rgb_array, .*ansi"
    ):
        load(odd()).make("odd", camera="render")
    suite = load(odd("", "renders: false"))
    assert suite.camera is None
    with pytest.raises(SimulatorError, match="suite: unknown camera 'render'; valid: none"):
        suite.make("odd", camera="render")


def test_workers_load_it_by_its_path(described: Described, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    described(REACHER)
    monkeypatch.chdir(tmp_path)
    with EnvironmentPool("suite.yaml", workers=1) as pool:
        pool.send({0: Reset("near", placement=2**63)})
        (answer,) = pool.receive().values()
    assert isinstance(answer, Transition)
    own, _ = gymnasium.make("Reacher-v5").reset(seed=2**63)
    assert np.array_equal(answer.observation["observation"], own.astype(np.float32))
