"""Meta-World (https://meta-world.github.io): MT10, MT50 and the training tasks of ML45, goals visible.

Placements are drawn by the environments' own sampling, not taken from `metaworld.MT50(seed)`, which needs 40 seconds to
draw fifty of them per task.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import gymnasium
import numpy as np
import yaml
from gymnasium.spaces import Box, Dict
from gymnasium.utils.seeding import np_random

from mtil.errors import SimulatorError, unknown
from mtil.sim.base import Expert, Simulator
from mtil.types import CameraView, Task

try:
    import mujoco
    from metaworld import env_dict
    from metaworld.policies import ENV_POLICY_MAP
    from metaworld.sawyer_xyz_env import SawyerXYZEnv

    from mtil.sim.cameras import Cameras
    from mtil.sim.swift import swift
except ImportError as error:
    raise SimulatorError(f'Meta-World cannot be imported ({error}): pip install "mtil[metaworld]"') from None
except (AttributeError, RuntimeError) as error:  # as MuJoCo fails where MUJOCO_GL names what is not there
    library = os.environ.get("MUJOCO_GL")
    raise SimulatorError(
        f"MuJoCo cannot be imported with MUJOCO_GL={library} ({error}); set it to egl, or unset it"
    ) from None

Observation = dict[str, Any]

_PARTS = {"proprio": slice(0, 4), "objects": slice(4, 18), "goal": slice(36, 39)}
"""Where Meta-World's vector of 39 holds what; 18:36 repeats the previous step, which a policy's history may do."""


class MetaWorld(Simulator):
    """A suite of Meta-World's tasks."""

    horizon = SawyerXYZEnv.max_path_length
    success = "the task's goal reached at any step"
    camera = "corner3"

    def __init__(self, *, name: str, tasks: tuple[str, ...]) -> None:
        self.name = name
        self._names = tasks

    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name=name, instructions=_instructions()[name]) for name in self._names)

    def make(
        self, task: str, *, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> gymnasium.Env:
        return MetaWorldEnv(task=self._known(task), camera=camera, image_size=image_size, views=views)

    def expert(self, task: str) -> Expert:
        policy = ENV_POLICY_MAP[self._known(task)]()

        def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
            with warnings.catch_warnings(action="ignore", category=UserWarning):  # "Constant(s) may be too high"
                return np.asarray(policy.get_action(_vector(observation)), np.float32)

        return act

    def env_args(self, task: str) -> dict[str, Any]:
        return {
            "env_name": self._known(task),
            "env_version": version("metaworld"),
            "type": 2,
            "env_kwargs": {"suite": self.name},
        }

    def _known(self, task: str) -> str:
        if task not in self._names:
            raise SimulatorError(unknown(f"task of {self.name}", task, self._names))
        return task


class MetaWorldEnv(gymnasium.Env[Observation, np.ndarray]):
    """One task of Meta-World; `reset(seed=placement)` decides where everything stands.

    Observations, in metres: `proprio` (4,) the hand's position and the gripper's opening in [0, 1]; `objects` (14,)
    position and quaternion of up to two objects, zeros where there is none; `goal` (3,); and an image for each view.
    Actions (4,): the hand's displacement and the gripper's effort, clipped to [-1, 1].
    """

    def __init__(
        self, *, task: str, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> None:
        self._env = swift(env_dict.ALL_V3_ENVIRONMENTS[task], seen=camera is not None or bool(views))()
        self._env.seeded_rand_vec = True
        self._env._set_task_called = True
        self._env._partially_observable = False
        del self._env.sawyer_observation_space  # cached while the goal was still hidden; step() would clip to zeros
        model, look = self._env.model, self._env.fullpath
        self._cameras = Cameras(model, film=camera, film_size=image_size, views=views, look=look)
        self.action_space = Box(-1.0, 1.0, (4,), np.float32)
        vectors = {key: Box(-np.inf, np.inf, (part.stop - part.start,), np.float32) for key, part in _PARTS.items()}
        self.observation_space = Dict({**vectors, **self._cameras.spaces})

    # The first pass draws the placement and writes it into the model, where the last episode's still stands; only the
    # second starts with every body in its place. In a dozen tasks the first alone is another, and a leaky, start.
    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        env = self._env
        env.np_random = np_random(seed if seed is not None else int(self.np_random.integers(2**63 - 1)))[0]
        env.curr_path_length = 0
        for drawn in (False, True):
            env._freeze_rand_vec = drawn
            mujoco.mj_resetData(env.model, env.data)
            env.reset_model()
        mujoco.mj_kinematics(env.model, env.data)  # window-close moves its window after it has looked at it
        return self._seen(env._get_obs()), {"success": False}

    def step(self, action: np.ndarray) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        clipped = np.clip(np.asarray(action, np.float32), -1.0, 1.0)
        vector, reward, terminated, truncated, info = self._env.step(clipped)
        return self._seen(vector), float(reward), terminated, truncated, {"success": bool(info["success"])}

    def render(self) -> np.ndarray:
        """An RGB image, upright, of shape (image_size, image_size, 3)."""
        return self._cameras.filmed(self._env.data)

    def close(self) -> None:
        self._cameras.close()
        self._env.close()

    def _seen(self, vector: np.ndarray) -> Observation:
        parts = {key: vector[part].astype(np.float32) for key, part in _PARTS.items()}
        return parts | self._cameras.seen(self._env.data)


def mt10() -> Simulator:
    """The ten tasks of MT10."""
    return MetaWorld(name="metaworld-mt10", tasks=tuple(env_dict.MT10_V3))


def mt50() -> Simulator:
    """All fifty tasks."""
    return MetaWorld(name="metaworld-mt50", tasks=tuple(env_dict.MT50_V3))


def ml45() -> Simulator:
    """The 45 training tasks of ML45, with goals visible."""
    return MetaWorld(name="metaworld-ml45", tasks=tuple(env_dict.ML45_V3["train"]))


@cache
def _instructions() -> dict[str, tuple[str, ...]]:
    text = files("mtil.sim").joinpath("metaworld.yaml").read_text(encoding="utf-8")
    return {task: tuple(sentences) for task, sentences in yaml.safe_load(text).items()}


def _vector(observation: Mapping[str, np.ndarray]) -> np.ndarray:
    """Meta-World's own vector of 39, the previous step left zero: no expert looks at it."""
    vector = np.zeros(39)
    for key, part in _PARTS.items():
        vector[part] = observation[key]
    return vector
