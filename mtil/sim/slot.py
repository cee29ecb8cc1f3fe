"""A place in which one episode after another runs: its environment, and the film of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float, Shaped

from mtil.errors import MtilError, SimulatorError
from mtil.sim.base import Simulator
from mtil.sim.video import VideoWriter
from mtil.types import CameraView

_DEFAULT_FPS = 30


@dataclass(frozen=True)
class Reset:
    """The command to begin an episode.

    Attributes:
        task: Name of the task.
        placement: Seed that decides where everything stands.
        video: The mp4 to film the episode to, if it is to be filmed.
        views: What observations show.
    """

    task: str
    placement: int
    video: Path | None = None
    views: tuple[CameraView, ...] = ()


Command = Reset | Float[np.ndarray, " A"]
"""A reset, or an action to take."""


@dataclass(frozen=True)
class Transition:
    """What came of a command.

    Attributes:
        observation: What is seen now, by key.
        steps: Steps taken since the reset.
        success: Whether the step reached the task's goal.
        done: Whether the episode is over: the goal reached, or no step left.
    """

    observation: Mapping[str, Shaped[np.ndarray, "..."]]
    steps: int
    success: bool
    done: bool


class Slot:
    """One environment at a time, and its film. It is kept for as long as task and views stay the same.

    Args:
        simulator: The suite that environments are made of.
        camera: Camera of the films, needed only if there are any.
        image_size: Height and width of the films in pixels.
    """

    def __init__(self, simulator: Simulator, *, camera: str | None, image_size: int) -> None:
        self._simulator = simulator
        self._camera = camera
        self._image_size = image_size
        self._env: gymnasium.Env | None = None
        self._task: str | None = None
        self._views: tuple[CameraView, ...] = ()
        self._has_camera = False
        self._film: VideoWriter | None = None
        self._steps = 0

    def obey(self, command: Command) -> Transition:
        """Do what is told.

        Raises:
            SimulatorError: The environment failed.
            OutputError: The film cannot be written.
        """
        try:
            return self._reset(command) if isinstance(command, Reset) else self._step(command)
        except MtilError:
            raise
        except Exception as error:
            raise SimulatorError(f"{self._task}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Close the environment; a film that is not finished is lost."""
        self._drop_film()
        if self._env is not None:
            self._env.close()

    def _reset(self, command: Reset) -> Transition:
        self._drop_film()
        env = self._environment(command.task, command.views, filmed=command.video is not None)
        observation, _ = env.reset(seed=command.placement)
        if command.video is not None:
            self._film = VideoWriter(command.video, fps=env.metadata.get("render_fps", _DEFAULT_FPS))
        self._shoot(env)
        self._steps = 0
        return Transition(observation, steps=0, success=False, done=False)

    def _step(self, action: Float[np.ndarray, " A"]) -> Transition:
        assert self._env is not None, "a slot was stepped before it was reset"
        observation, _, terminated, truncated, info = self._env.step(action)
        self._shoot(self._env)
        self._steps += 1
        success = bool(info["success"])
        done = success or terminated or truncated
        if done and self._film is not None:
            self._film.save()
            self._film = None
        return Transition(observation, steps=self._steps, success=success, done=done)

    def _environment(self, task: str, views: tuple[CameraView, ...], *, filmed: bool) -> gymnasium.Env:
        """The environment at hand if it will do; one with a camera serves episodes that are not filmed, too."""
        if self._env is None or (task, views) != (self._task, self._views) or (filmed and not self._has_camera):
            if self._env is not None:
                self._env.close()
            self._task, self._views, self._has_camera = task, views, filmed
            camera = self._camera if filmed else None
            self._env = self._simulator.make(task, camera=camera, image_size=self._image_size, views=views)
        return self._env

    def _shoot(self, env: gymnasium.Env) -> None:
        if self._film is not None:
            frame: Any = env.render()
            self._film.append(frame)

    def _drop_film(self) -> None:
        if self._film is not None:
            self._film.discard()
            self._film = None
