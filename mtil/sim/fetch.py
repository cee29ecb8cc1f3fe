"""Fetch (https://robotics.farama.org/envs/fetch): a hand and a block that are to be brought to any point in reach.

FetchSlide is left out: its puck is hit once and slides out of reach, and no expert of ours hits it well enough.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from copy import copy
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import gymnasium
import numpy as np
import yaml
from gymnasium.spaces import Box, Dict

from mtil.errors import SimulatorError, unknown
from mtil.sim.base import Expert, Reached, Simulator
from mtil.sim.fetch_experts import pick_and_place, push, reach
from mtil.types import CameraView, Task

try:
    import mujoco
    from farama_notifications import notifications

    notifications.pop("gymnasium_robotics", None)  # printed at the import, and about other robots
    from gymnasium_robotics.envs.fetch.fetch_env import DEFAULT_CAMERA_CONFIG, MujocoFetchEnv
    from gymnasium_robotics.envs.fetch.pick_and_place import MujocoFetchPickAndPlaceEnv
    from gymnasium_robotics.envs.fetch.push import MujocoFetchPushEnv
    from gymnasium_robotics.envs.fetch.reach import MujocoFetchReachEnv
    from gymnasium_robotics.utils.mujoco_utils import MujocoModelNames

    from mtil.sim.cameras import Cameras
except ImportError as error:
    raise SimulatorError(f'Fetch cannot be imported ({error}): pip install "mtil[fetch]"') from None
except (AttributeError, RuntimeError) as error:  # as MuJoCo fails where MUJOCO_GL names what is not there
    library = os.environ.get("MUJOCO_GL")
    raise SimulatorError(
        f"MuJoCo cannot be imported with MUJOCO_GL={library} ({error}); set it to egl, or unset it"
    ) from None

Observation = dict[str, Any]

_FREE = "free"
_FIELD = 25.0  # degrees: the table and what is above it, where the viewer's 45 show the whole robot


class Fetch(Simulator):
    """The suite of Fetch's tasks, under the names that Gymnasium knows them by."""

    name = "fetch"
    horizon = 50
    success = "what is to be moved (the block; in FetchReach the hand) within 5 cm of the goal at any step"
    camera = _FREE

    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name=name, instructions=_instructions()[name]) for name in _ENVS)

    def make(
        self, task: str, *, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> gymnasium.Env:
        return FetchEnv(task=_known(task), camera=camera, image_size=image_size, views=views)

    def expert(self, task: str) -> Expert:
        return _EXPERTS[_known(task)]

    def goals(
        self, task: str, placements: Iterable[int], *, keys: Sequence[str], views: Sequence[CameraView] = ()
    ) -> Iterator[Reached]:
        """Of what is achieved, the goal that each placement states; of all else, what the expert sees at its end."""
        if set(keys) != {"achieved_goal"}:
            yield from super().goals(task, placements, keys=keys, views=views)
            return
        with closing(FetchEnv(task=_known(task))) as env:
            for placement in placements:
                env.reset(seed=placement)
                yield Reached({"achieved_goal": env.desired_goal}, success=True)

    def env_args(self, task: str) -> dict[str, Any]:
        return {
            "env_name": _known(task),
            "env_version": version("gymnasium-robotics"),
            "type": 2,
            "env_kwargs": {"suite": self.name},
        }


class FetchEnv(gymnasium.Env[Observation, np.ndarray]):
    """One task of Fetch; `reset(seed=placement)` decides where the block and the goal are.

    Observations, in metres: `observation` (10,) in FetchReach, otherwise (25,), as Fetch puts it together;
    `achieved_goal` (3,) where the hand or the block is; `desired_goal` (3,) where it should be; and an image for each
    view. Actions (4,): the hand's displacement and the gripper's, clipped to [-1, 1]. A goal may be reached from the
    start, as the reset's `info["success"]` tells.

    Cameras are the model's own, and `free`: from where Fetch's viewer stands, closer up.
    """

    metadata = {"render_fps": 25}  # noqa: RUF012 (as Gymnasium declares it)

    def __init__(
        self, *, task: str, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> None:
        self._env = _ENVS[task]()
        self._steps = 0
        model, look = self._env.model, self._env.fullpath
        self._cameras = Cameras(model, film=camera, film_size=image_size, views=views, look=look)
        self.action_space = Box(-1.0, 1.0, (4,), np.float32)
        sizes = {key: space.shape for key, space in self._env.observation_space.items()}
        vectors = {key: Box(-np.inf, np.inf, sizes[key], np.float32) for key in _KEYS}
        self.observation_space = Dict({**vectors, **self._cameras.spaces})

    @property
    def desired_goal(self) -> np.ndarray:
        """The goal of the episode that was begun last, (3,) float32."""
        return self._env.goal.astype(np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._steps = 0
        found, _ = self._env.reset(seed=seed)
        self._mark_goal()
        return self._seen(found), {"success": bool(self._env._is_success(found["achieved_goal"], self._env.goal))}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        found, reward, terminated, _, info = self._env.step(np.asarray(action, np.float32))
        self._steps += 1
        truncated = self._steps >= Fetch.horizon
        return self._seen(found), float(reward), terminated, truncated, {"success": bool(info["is_success"])}

    def render(self) -> np.ndarray:
        """An RGB image, upright, of shape (image_size, image_size, 3)."""
        return self._cameras.filmed(self._env.data)

    def close(self) -> None:
        self._cameras.close()
        self._env.close()

    # Fetch does it whenever it renders, and runs the physics' solver then, which the next step starts from.
    def _mark_goal(self) -> None:
        marker = self._env.model.site("target0")
        marker.pos[:] = self._env.goal - self._env.data.xpos[marker.bodyid[0]]
        self._env.data.site("target0").xpos[:] = self._env.goal

    def _seen(self, found: Mapping[str, np.ndarray]) -> Observation:
        vectors = {key: found[key].astype(np.float32) for key in _KEYS}
        return vectors | self._cameras.seen(self._env.data)


class _Compiled(MujocoFetchEnv):
    """Fetch with the camera `free`, its model compiled once in a process and copied. The numbers are Fetch's own."""

    def _initialize_simulation(self) -> None:
        self.model = copy(_model(self.fullpath))
        self.data = mujoco.MjData(self.model)
        self._model_names = MujocoModelNames(self.model)
        fingers = [name for name in self._model_names.joint_names if "gripper" in name]
        self._model_names._joint_names = tuple(fingers)  # to read the others, in vain, takes a fifth of a step
        self._env_setup(initial_qpos=self.initial_qpos)
        self.initial_time = self.data.time
        self.initial_qpos, self.initial_qvel = self.data.qpos.copy(), self.data.qvel.copy()


class _Reach(_Compiled, MujocoFetchReachEnv):
    pass


class _Push(_Compiled, MujocoFetchPushEnv):
    pass


class _PickAndPlace(_Compiled, MujocoFetchPickAndPlaceEnv):
    pass


_KEYS = ("observation", "achieved_goal", "desired_goal")
_ENVS = {"FetchReach-v4": _Reach, "FetchPush-v4": _Push, "FetchPickAndPlace-v4": _PickAndPlace}
_EXPERTS: dict[str, Expert] = {"FetchReach-v4": reach, "FetchPush-v4": push, "FetchPickAndPlace-v4": pick_and_place}


def fetch() -> Simulator:
    """The three tasks of Fetch that there are experts for."""
    return Fetch()


@cache
def _model(path: str) -> mujoco.MjModel:
    spec = mujoco.MjSpec.from_file(path)
    azimuth, elevation = np.deg2rad([DEFAULT_CAMERA_CONFIG["azimuth"], DEFAULT_CAMERA_CONFIG["elevation"]])
    across = np.array([np.cos(azimuth), np.sin(azimuth), 0.0])
    forward = np.cos(elevation) * across + [0.0, 0.0, np.sin(elevation)]
    right = np.cross(across, [0.0, 0.0, 1.0])
    place = DEFAULT_CAMERA_CONFIG["lookat"] - DEFAULT_CAMERA_CONFIG["distance"] * forward
    spec.worldbody.add_camera(name=_FREE, pos=place, xyaxes=[*right, *np.cross(right, forward)], fovy=_FIELD)
    for cross in spec.body("robot0:mocap").geoms:
        cross.rgba[3] = 0.0  # it would show a policy its own last action
    return spec.compile()


@cache
def _instructions() -> dict[str, tuple[str, ...]]:
    text = files("mtil.sim").joinpath("fetch.yaml").read_text(encoding="utf-8")
    return {task: tuple(sentences) for task, sentences in yaml.safe_load(text).items()}


def _known(task: str) -> str:
    if task not in _ENVS:
        raise SimulatorError(unknown("task of fetch", task, _ENVS))
    return task
