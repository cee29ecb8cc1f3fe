"""Environments in processes of their own: commands for many slots in, what came of them out.

A slot is a place in which one episode after another runs; slot s is served by worker s modulo the number of workers.
Each message to a worker carries the commands of all its slots that have one.
"""

import os
import signal
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from jaxtyping import Float, Shaped

from mtil.errors import MtilError, SimulatorError
from mtil.sim.base import Simulator, load
from mtil.sim.video import VideoWriter

_PATIENCE = 10.0  # seconds that a worker has to finish what it does before it is killed
_ONE_THREAD: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_DEFAULT_FPS = 30


@dataclass(frozen=True)
class Reset:
    """The command to begin an episode.

    Attributes:
        task: Name of the task.
        placement: Seed that decides where everything stands.
        video: The mp4 to film the episode to, if it is to be filmed.
    """

    task: str
    placement: int
    video: Path | None = None


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


class EnvironmentPool:
    """Environments of one suite in spawned processes, which end with the pool's `with` block.

    Args:
        simulator: Name of the suite.
        workers: Number of processes.
        camera: Camera of the films, needed only if there are any.
        image_size: Height and width of the films in pixels.
    """

    def __init__(self, simulator: str, *, workers: int, camera: str | None = None, image_size: int = 240) -> None:
        assert workers >= 1, "an environment pool needs a worker"
        self._busy: set[Connection] = set()
        self._processes: dict[Connection, SpawnProcess] = {}
        context = get_context("spawn")
        with _conditions_of_birth():
            for _ in range(workers):
                ours, theirs = context.Pipe()
                process = context.Process(target=_serve, args=(theirs, simulator, camera, image_size), daemon=True)
                process.start()
                theirs.close()  # theirs alone, so that its end is noticed here
                self._processes[ours] = process

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return bool(self._busy)

    def send(self, commands: Mapping[int, Command]) -> None:
        """Set slots to work, each of a worker that has nothing left to answer.

        Raises:
            SimulatorError: A worker has died.
        """
        pipes = list(self._processes)
        batches = defaultdict(dict)
        for slot, command in commands.items():
            batches[pipes[slot % len(pipes)]][slot] = command
        for pipe, batch in batches.items():
            assert pipe not in self._busy, "a worker was sent commands before it answered the last ones"
            try:
                pipe.send(batch)
            except OSError:
                raise self._death(pipe) from None
            self._busy.add(pipe)

    def receive(self) -> dict[int, Transition]:
        """The answers of every worker that is ready, at least one, by slot.

        Raises:
            MtilError: What went wrong in an environment.
            SimulatorError: A worker has died.
        """
        transitions: dict[int, Transition] = {}
        for pipe in wait(self._busy):
            assert isinstance(pipe, Connection)
            self._busy.remove(pipe)
            try:
                answer = pipe.recv()
            except (EOFError, OSError):
                raise self._death(pipe) from None
            if isinstance(answer, MtilError):
                raise answer
            transitions.update(answer)
        return transitions

    def close(self) -> None:
        """End the processes; films that are not finished are lost."""
        self._busy.clear()
        for pipe in self._processes:
            pipe.close()
        for process in self._processes.values():
            process.join(_PATIENCE)
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()

    def __enter__(self) -> "EnvironmentPool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _death(self, pipe: Connection) -> SimulatorError:
        process = self._processes[pipe]
        process.join(_PATIENCE)
        return SimulatorError(f"an environment process died (exit status {process.exitcode}); its last words are above")


@contextmanager
def _conditions_of_birth() -> Iterator[None]:
    """What processes started here inherit: no ear for Ctrl-C, which is the parent's to answer; one thread for maths."""
    resource_tracker.ensure_running()  # otherwise the first start does it, and unblocks the signal
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(pipe: Connection, simulator: str, camera: str | None, image_size: int) -> None:
    """A worker's life: obey until the other end of the pipe is closed, or something goes wrong."""
    slots: dict[int, _Slot] = {}
    try:
        suite = load(simulator)
        while (commands := _next(pipe)) is not None:
            for slot in commands.keys() - slots.keys():
                slots[slot] = _Slot(suite, camera=camera, image_size=image_size)
            _answer(pipe, {slot: slots[slot].obey(command) for slot, command in commands.items()})
    except Exception as error:
        _answer(pipe, _explained(error))
    finally:
        for slot in slots.values():
            slot.close()


def _next(pipe: Connection) -> dict[int, Command] | None:
    try:
        return pipe.recv()
    except (EOFError, OSError):
        return None


def _answer(pipe: Connection, answer: dict[int, Transition] | MtilError) -> None:
    with suppress(OSError):  # nobody listens any more: the next look at the pipe ends the worker
        pipe.send(answer)


def _explained(error: Exception) -> MtilError:
    """The error as one of ours, with its traceback, which does not travel between processes, as a note."""
    ours = error if isinstance(error, MtilError) else SimulatorError(f"{type(error).__name__}: {error}")
    ours.add_note(traceback.format_exc())
    return ours


class _Slot:
    """One environment at a time, and its film. It is kept for as long as the task stays the same."""

    def __init__(self, simulator: Simulator, *, camera: str | None, image_size: int) -> None:
        self._simulator = simulator
        self._camera = camera
        self._image_size = image_size
        self._env: gymnasium.Env | None = None
        self._task: str | None = None
        self._has_camera = False
        self._film: VideoWriter | None = None
        self._steps = 0

    def obey(self, command: Command) -> Transition:
        try:
            return self._reset(command) if isinstance(command, Reset) else self._step(command)
        except MtilError:
            raise
        except Exception as error:
            raise SimulatorError(f"{self._task}: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        self._drop_film()
        if self._env is not None:
            self._env.close()

    def _reset(self, command: Reset) -> Transition:
        self._drop_film()
        env = self._environment(command.task, filmed=command.video is not None)
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

    def _environment(self, task: str, *, filmed: bool) -> gymnasium.Env:
        """The environment at hand if it will do; one with a camera serves episodes that are not filmed, too."""
        if self._env is None or task != self._task or (filmed and not self._has_camera):
            if self._env is not None:
                self._env.close()
            self._task, self._has_camera = task, filmed
            camera = self._camera if filmed else None
            self._env = self._simulator.make(task, camera=camera, image_size=self._image_size)
        return self._env

    def _shoot(self, env: gymnasium.Env) -> None:
        if self._film is not None:
            frame: Any = env.render()
            self._film.append(frame)

    def _drop_film(self) -> None:
        if self._film is not None:
            self._film.discard()
            self._film = None
