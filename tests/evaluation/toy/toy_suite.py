"""A suite of small tasks, found as another package's would be: a point on a plane is to reach a goal."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

from mtil.errors import SimulatorError, unknown
from mtil.sim.base import Expert, Simulator
from mtil.types import CameraView, Task

REACH = 0.1
STRIDE = 0.25


class Toy(Simulator):
    """Two tasks that can be solved, one that cannot, one that raises, and one that kills its process."""

    name = "toy"
    horizon = 20
    camera = None
    success = "the point within 0.1 of the goal at any step"

    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name) for name in ("near", "far", "impossible", "broken", "fatal"))

    def make(
        self, task: str, *, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> gymnasium.Env:
        for name in (camera, *(view.camera for view in views)):
            if name not in (None, "top"):
                raise SimulatorError(unknown("camera", name, ["top"]))
        return PointEnv(task, horizon=self.horizon, image_size=image_size if camera else None, views=views)

    def expert(self, task: str) -> Expert:
        return seek

    def env_args(self, task: str) -> dict[str, Any]:
        return {"env_name": task, "type": 2, "env_kwargs": {}}


class PointEnv(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, task: str, *, horizon: int, image_size: int | None, views: Sequence[CameraView]) -> None:
        self._task, self._horizon, self._image_size, self._views = task, horizon, image_size, views
        self._made_earlier_episodes = 0
        self.action_space = Box(-1, 1, (2,), np.float32)
        spaces: dict[str, gymnasium.Space] = {
            key: Box(-np.inf, np.inf, (2,), np.float32) for key in ("position", "goal", "process")
        }
        spaces |= {view.key: Box(0, 255, (view.size, view.size, 3), np.uint8) for view in views}
        self.observation_space = Dict(spaces)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[dict[str, np.ndarray], dict]:
        super().reset(seed=seed)
        angle = self.np_random.uniform(0, 2 * np.pi)
        distance = {"near": 1.0, "impossible": np.inf}.get(self._task, 3.0)
        self._position, self._steps = np.zeros(2), 0
        self._goal = distance * np.array([np.cos(angle), np.sin(angle)])
        return self._observation(), {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        if self._task == "broken":
            raise ZeroDivisionError("the world came to an end")
        if self._task == "fatal":
            os._exit(3)
        self._steps += 1
        self._position = self._position + STRIDE * np.clip(action, -1, 1)
        success = bool(np.linalg.norm(self._goal - self._position) < REACH)
        return self._observation(), 0.0, False, self._steps == self._horizon, {"success": success}

    def render(self) -> np.ndarray:
        assert self._image_size is not None
        return self._picture(self._image_size)

    def _observation(self) -> dict[str, np.ndarray]:
        """`process` tells the process's id and whether torch was imported there."""
        process = np.array([os.getpid(), "torch" in sys.modules])
        vectors = {"position": self._position, "goal": self._goal, "process": process}
        images = {view.key: self._picture(view.size) for view in self._views}
        return {key: value.astype(np.float32) for key, value in vectors.items()} | images

    def _picture(self, size: int) -> np.ndarray:
        """Black; white from the left as far as the episode has gone."""
        image = np.zeros((size, size, 3), np.uint8)
        image[:, : int(size * self._steps / self._horizon)] = 255
        return image


def seek(observation: Mapping[str, np.ndarray]) -> np.ndarray:
    """Straight to the goal, one stride a step."""
    way = observation["goal"] - observation["position"]
    if not np.isfinite(way).all():
        return np.zeros(2, np.float32)
    return (way / max(STRIDE, float(np.linalg.norm(way)))).astype(np.float32)
