"""A suite of two tasks: a point on a plane is to go to the red spot, or to the blue one."""

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict

from mtil.errors import SimulatorError, unknown
from mtil.sim.base import Expert, Simulator
from mtil.types import CameraView, Task

Observation = dict[str, Any]

STRIDE, NEAR = 0.2, 0.1
TASKS = {
    "red": ("go to the red spot", "move onto the red dot"),
    "blue": ("go to the blue spot", "move onto the blue dot"),
}


class Spots(Simulator):
    name = "spots"
    horizon = 30
    success = f"the point within {NEAR} of its spot at any step"
    camera = None  # there is nothing to film with

    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name, instructions) for name, instructions in TASKS.items())

    def make(
        self, task: str, *, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> gymnasium.Env:
        for name in (camera, *(view.camera for view in views)):
            if name is not None:
                raise SimulatorError(unknown("camera", name, []))
        return SpotsEnv(known(task))

    def expert(self, task: str) -> Expert:
        goal = known(task)

        def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
            return (observation[goal] - observation["point"]) / STRIDE  # what is too long will be clipped

        return act

    def env_args(self, task: str) -> dict[str, Any]:
        return {"env_name": known(task), "env_version": "0.1.0", "type": 2, "env_kwargs": {}}


class SpotsEnv(gymnasium.Env[Observation, np.ndarray]):
    def __init__(self, task: str) -> None:
        self._task = task
        self.action_space = Box(-1, 1, (2,), np.float32)
        self.observation_space = Dict({key: Box(-np.inf, np.inf, (2,), np.float32) for key in ("point", *TASKS)})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)  # self.np_random is drawn from the seed: all else must come from it
        self._steps = 0
        self._places = {key: self.np_random.uniform(-1, 1, 2).astype(np.float32) for key in ("point", *TASKS)}
        return dict(self._places), {"success": False}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        stride = STRIDE * np.clip(action, -1, 1).astype(np.float32)
        self._places = {key: place.copy() for key, place in self._places.items()}
        self._places["point"] += stride
        self._steps += 1
        success = bool(np.linalg.norm(self._places["point"] - self._places[self._task]) < NEAR)
        return dict(self._places), float(success), False, self._steps == Spots.horizon, {"success": success}


def known(task: str) -> str:
    if task not in TASKS:
        raise SimulatorError(unknown("task of spots", task, TASKS))
    return task
