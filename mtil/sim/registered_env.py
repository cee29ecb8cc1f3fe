"""An environment of Gymnasium, such as others make it, as one of ours."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from jaxtyping import Float

from mtil.errors import SimulatorError
from mtil.sim.parts import PartConfig, parts
from mtil.sim.snapshot import rendered, square
from mtil.sim.success import Judge, Rule
from mtil.types import CameraView

Observation = dict[str, Any]


@contextmanager
def named(place: str) -> Iterator[None]:
    """Has an error tell where it is."""
    try:
        yield
    except SimulatorError as error:
        raise SimulatorError(f"{place}: {error}") from error.__cause__


class RegisteredEnv(gymnasium.Env[Observation, np.ndarray]):
    """Shows parts of what the environment shows, takes a vector of its actions, and tells of success.

    An episode ends after the horizon's steps, or earlier if the environment ends it.

    Args:
        env: The environment, without a limit of steps.
        name: What errors are to call it.
        observations: By key, the part of its observations; None: every part that holds numbers.
        rule: What counts as success.
        horizon: Steps after which an episode is truncated.
        seed_bits: Of the seeds that the environment takes.
        film_size: Height and width of what `render()` returns, in pixels; None: there is no rendering.
        views: What observations show besides, each of them a part of what the environment renders.

    Raises:
        SimulatorError: A part does not exist, or actions are no vectors of numbers.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        name: str,
        observations: Mapping[str, PartConfig] | None,
        rule: Rule,
        horizon: int,
        seed_bits: int,
        film_size: int | None,
        views: Sequence[CameraView],
    ) -> None:
        if not isinstance(env.action_space, Box) or env.action_space.dtype.kind != "f":
            raise SimulatorError(
                f"{name}: expected actions in a Box of real numbers, as policies act, found {env.action_space}"
            )
        self._env, self._actions, self._name = env, env.action_space, name
        with named(name):
            self._parts = parts(env.observation_space, observations)
        self._judge = Judge(rule)
        self._horizon, self._seed_bits = horizon, seed_bits
        self._film_size, self._views = film_size, tuple(views)
        self._steps = 0
        self.metadata = {"render_fps": env.metadata.get("render_fps", 30)}
        self.action_space = Box(
            self._actions.low.ravel().astype(np.float32),
            self._actions.high.ravel().astype(np.float32),
            dtype=np.float32,
        )
        pictures = {view.key: Box(0, 255, (view.size, view.size, 3), np.uint8) for view in views}
        self.observation_space = Dict({**{key: part.space for key, part in self._parts.items()}, **pictures})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        self._steps = 0
        self._judge.begin()
        try:
            found, _ = self._env.reset(seed=None if seed is None else seed % (1 << self._seed_bits))
        except (ValueError, OverflowError) as error:  # as NumPy's older generators refuse more than 32 bits
            raise SimulatorError(
                f"{self._name}: cannot be reset with a seed of {self._seed_bits} bits ({error}); where it takes fewer, "
                "set seed_bits"
            ) from error
        return self._seen(found), {"success": False}

    def step(self, action: Float[np.ndarray, " A"]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        space = self._actions
        inside = np.clip(np.asarray(action).reshape(space.shape), space.low, space.high).astype(space.dtype)
        found, reward, terminated, truncated, info = self._env.step(inside)
        self._steps += 1
        reward, terminated = float(reward), bool(terminated)
        truncated = bool(truncated) or self._steps >= self._horizon
        with named(self._name):
            success = self._judge.judge(reward, info, terminated=terminated, over=terminated or truncated)
        return self._seen(found), reward, terminated, truncated, {"success": success}

    def render(self) -> np.ndarray:
        """An RGB image of shape (film_size, film_size, 3), stretched to it."""
        if self._film_size is None:
            raise SimulatorError("nothing to render: the environment was made without a camera")
        with named(self._name):
            return square(rendered(self._env), self._film_size)

    def close(self) -> None:
        self._env.close()

    def _seen(self, found: Any) -> Observation:
        seen = {key: part.of(found) for key, part in self._parts.items()}
        if self._views:
            with named(self._name):
                picture = rendered(self._env)
            seen |= {view.key: square(picture, view.size, view.crop) for view in self._views}
        return seen
