"""What a simulator offers, and how one is found: as an entry point of the group `mtil.simulators`, or in a file."""

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np

from mtil.errors import SimulatorError, unknown
from mtil.types import CameraView, Task

Expert = Callable[[Mapping[str, np.ndarray]], np.ndarray]
"""From one observation to the raw action, which may lie outside the action space."""

SETTLING = 15
"""Steps that an expert goes on after its success before what it sees is taken for a goal: then things lie still, and
where precision counts, they lie well within what counts as success."""


class Reached(NamedTuple):
    """What a goal is to look like.

    Attributes:
        observation: By key.
        success: Whether it is one; if not, the expert failed, and this is where it ended.
    """

    observation: Mapping[str, np.ndarray]
    success: bool


Stream = Literal["collection", "evaluation", "validation"]

_GROUP = "mtil.simulators"
_STREAMS = {"collection": 0, "evaluation": 1, "validation": 1 << 63}  # what a stream adds to 62 bits in the middle


class Simulator(ABC):
    """A suite of tasks that environments can be made of.

    Attributes:
        name: Name of the suite, e.g. `"metaworld-mt10"`.
        horizon: Steps after which an episode is truncated.
        success: What counts as success, in words.
        camera: The camera that films are taken with; None: there is none.
        digest: Of what a file says of the suite, to know it again by; None: its name tells all.
    """

    name: str
    horizon: int
    success: str
    camera: str | None
    digest: str | None = None

    @abstractmethod
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, in the suite's order."""

    @abstractmethod
    def make(
        self, task: str, *, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> gymnasium.Env:
        """A new environment of one task.

        Observations are a dictionary of float32 vectors, and of an uint8 image (size, size, 3), upright RGB, for each
        view under its key; actions a float32 vector; `info["success"]` is a bool at each step. `reset(seed=placement)`
        decides everything: the episode is a function of the placement and the actions, whatever was done with the
        environment before, so that one environment serves many episodes.

        Args:
            task: Name of a task of the suite.
            camera: Camera that `render()` looks through; without one, there is no rendering.
            image_size: Height and width of the uint8 RGB image that `render()` returns, in pixels.
            views: What observations show besides, each of another camera.

        Raises:
            SimulatorError: The task or camera does not exist, or rendering does not work on this machine.
        """

    @abstractmethod
    def expert(self, task: str) -> Expert | None:
        """A scripted expert for the task, if there is one.

        Raises:
            SimulatorError: The task does not exist.
        """

    def goals(
        self, task: str, placements: Iterable[int], *, keys: Sequence[str], views: Sequence[CameraView] = ()
    ) -> Iterator[Reached]:
        """What is to be reached from each placement: what the expert sees there, some steps after its success.

        Where a suite states its goals otherwise, it overrides this.

        Args:
            task: Name of a task of the suite.
            placements: As `reset` takes them; each is asked for when its goal is.
            keys: What goals are made of.
            views: What observations show besides.

        Raises:
            SimulatorError: The task does not exist, or has no expert.
        """
        expert = self.expert(task)
        if expert is None:
            raise SimulatorError(f"{self.name}: task {task!r} has no scripted expert to show what is to be reached")
        with closing(self.make(task, views=views)) as env:
            for placement in placements:
                yield _reached(env, expert, placement, horizon=self.horizon)

    @abstractmethod
    def env_args(self, task: str) -> dict[str, Any]:
        """The task in robomimic's words: `env_name`, `env_version`, `type` and `env_kwargs`, JSON values all.

        Raises:
            SimulatorError: The task does not exist.
        """


def names() -> tuple[str, ...]:
    """The simulators that are installed, alphabetically."""
    return tuple(sorted(entry_points(group=_GROUP).names))


def is_file(name: str) -> bool:
    """Whether what is given for a simulator is the path of a YAML file that describes one, rather than a name."""
    return name.endswith((".yaml", ".yml"))


def load(name: str) -> Simulator:
    """The simulator of that name, or the one that a file describes.

    Args:
        name: Of an installed simulator, or the path of a `.yaml` file (see `suite_file`).

    Raises:
        SimulatorError: There is none, or it needs a package that is not installed.
        ConfigError: A key or value in the file does not fit.
    """
    if is_file(name):
        from mtil.sim.registered import read_suite  # which builds on this module

        return read_suite(Path(name))
    found = tuple(entry_points(group=_GROUP, name=name))
    if not found:
        raise SimulatorError(f"{unknown('simulator', name, names())}; or the path of a .yaml file that describes one")
    return _installed(found[0])


def _installed(entry: EntryPoint) -> Simulator:
    try:
        make = entry.load()
    except (ImportError, AttributeError) as error:
        raise SimulatorError(f"simulator {entry.name!r}: {entry.value} cannot be imported ({error})") from error
    simulator = make()
    if not isinstance(simulator, Simulator):
        raise SimulatorError(
            f"simulator {entry.name!r}: expected {entry.value} to make a mtil.sim.base.Simulator, found "
            f"{type(simulator).__name__}"
        )
    return simulator


def placement(stream: Stream, seed: int, task: str, episode: int) -> int:
    """The seed that an episode starts from. The streams never meet: the lowest and highest bits tell.

    Args:
        stream: What the episode is for: demonstrations, success rates to be told, or choices made along the way.
        seed: The user's seed, not negative.
        task: Name of the task.
        episode: Position of the episode in the stream.

    Returns:
        An integer of 63 bits; of the stream "validation", of 64.
    """
    sequence = np.random.SeedSequence(seed, spawn_key=(zlib.crc32(task.encode()), episode))
    return (int(sequence.generate_state(1, np.uint64)[0]) >> 2 << 1) | _STREAMS[stream]


def _reached(env: gymnasium.Env, expert: Expert, placement: int, *, horizon: int) -> Reached:
    observation, _ = env.reset(seed=placement)
    success, left, over = False, horizon, False
    space = env.action_space
    assert isinstance(space, gymnasium.spaces.Box)
    while left and not over:
        action = np.clip(expert(observation), space.low, space.high).astype(space.dtype)
        observation, _, terminated, truncated, info = env.step(action)
        left, over = left - 1, terminated or truncated
        if info["success"] and not success:
            success, left = True, SETTLING
    return Reached(observation, success)
