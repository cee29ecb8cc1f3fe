"""A suite of small tasks, found as another package's would be: a point on a plane is to reach a goal."""

import os
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

from mtil.errors import SimulatorError, unknown
from mtil.sim.base import Expert, Simulator
from mtil.types import Task

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

    def make(self, task: str, *, camera: str | None = None, image_size: int = 240) -> gymnasium.Env:
        if camera not in (None, "top"):
            raise SimulatorError(unknown("camera", camera, ["top"]))
        return PointEnv(task, horizon=self.horizon, image_size=image_size if camera else None)

    def expert(self, task: str) -> Expert:
        return seek

    def env_args(self, task: str) -> dict[str, Any]:
        return {"env_name": task, "type": 2, "env_kwargs": {}}


class PointEnv(gymnasium.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}  # noqa: RUF012

    def __init__(self, task: str, *, horizon: int, image_size: int | None) -> None:
        self._task, self._horizon, self._image_size = task, horizon, image_size
        self._made_earlier_episodes = 0
        self.action_space = Box(-1, 1, (2,), np.float32)
        self.observation_space = Dict(
            {key: Box(-np.inf, np.inf, (2,), np.float32) for key in ("position", "goal", "process")}
        )

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
        image = np.zeros((self._image_size, self._image_size, 3), np.uint8)
        image[:, : int(self._image_size * self._steps / self._horizon)] = 255
        return image

    def _observation(self) -> dict[str, np.ndarray]:
        """`process` tells the process's id and whether torch was imported there."""
        process = np.array([os.getpid(), "torch" in sys.modules])
        return {
            key: value.astype(np.float32)
            for key, value in {"position": self._position, "goal": self._goal, "process": process}.items()
        }


def seek(observation: Mapping[str, np.ndarray]) -> np.ndarray:
    """Straight to the goal, one stride a step."""
    way = observation["goal"] - observation["position"]
    if not np.isfinite(way).all():
        return np.zeros(2, np.float32)
    return (way / max(STRIDE, float(np.linalg.norm(way)))).astype(np.float32)
