"""Environments registered with Gymnasium (https://gymnasium.farama.org), as the suite that a file describes."""

import difflib
import hashlib
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium

from mtil.config import read
from mtil.errors import SimulatorError, unknown
from mtil.sim.base import Expert, Simulator
from mtil.sim.registered_env import RegisteredEnv, named
from mtil.sim.repeatability import difference
from mtil.sim.success import Rule
from mtil.sim.suite_file import SuiteConfig, TaskConfig
from mtil.types import CameraView, Task

RENDER = "render"
"""The one camera that there is."""

_PIXELS = "rgb_array"
_NOT_DECISIVE = {"name": True, "tasks": {"__all__": {"instructions", "expert"}}}
_NO_LIMIT = -1  # as Gymnasium spells that the registered limit of steps is not to be imposed


def read_suite(path: Path) -> Simulator:
    """The suite that a file describes.

    Raises:
        ConfigError: A key or value does not fit.
        SimulatorError: There is no such file, or what it names is not installed.
    """
    if not path.is_file():
        raise SimulatorError(
            f"{path}: no such file to describe a simulator; if it was moved, name it anew (--suite, or suite=)"
        )
    return RegisteredSuite(read(SuiteConfig, path), path=path)


class RegisteredSuite(Simulator):
    """Tasks that are environments registered with Gymnasium.

    Args:
        config: The file's content.
        path: The file.

    Raises:
        SimulatorError: A module cannot be imported, an environment is not registered, or a task has no rule of success.
    """

    def __init__(self, config: SuiteConfig, *, path: Path) -> None:
        self.name = config.name or path.stem
        self.horizon = config.horizon
        self.camera = RENDER if config.renders else None
        self.digest = _digest(config)
        self._config, self._repeated = config, set[str]()
        with named(str(path)):
            for module in config.imports:
                _import(module, key="imports")
            for name, task in config.tasks.items():
                _check_registered(task.id, key=f"tasks.{name}.id")
            self._rules = {name: self._rule(name, task) for name, task in config.tasks.items()}
        self.success = _in_words(self._rules) + ("" if config.repeatable else "; episodes cannot be repeated")

    def tasks(self) -> tuple[Task, ...]:
        return tuple(Task(name=name, instructions=task.instructions) for name, task in self._config.tasks.items())

    def make(
        self, task: str, *, camera: str | None = None, image_size: int = 240, views: Sequence[CameraView] = ()
    ) -> gymnasium.Env:
        config = self._known(task)
        for name in (camera, *(view.camera for view in views)):
            if name is not None and name != self.camera:
                raise SimulatorError(f"{self.name}: {unknown('camera', name, [self.camera] if self.camera else [])}")
        name = f"{self.name}: {task}"
        with named(name):
            made = self._made(config, seen=camera is not None or bool(views))
        env = RegisteredEnv(
            made,
            name=name,
            observations=config.observations or self._config.observations,
            rule=self._rules[task],
            horizon=self.horizon,
            seed_bits=self._config.seed_bits,
            film_size=image_size if camera else None,
            views=views,
        )
        if self._config.repeatable and task not in self._repeated:
            _check_repeatable(env, name)
        self._repeated.add(task)
        return env

    def expert(self, task: str) -> Expert | None:
        place = self._known(task).expert
        if place is None:
            return None
        with named(f"{self.name}: {task}"):
            return _function(place)

    def env_args(self, task: str) -> dict[str, Any]:
        config = self._known(task)
        return {
            "env_name": config.id,
            "env_version": version("gymnasium"),
            "type": 2,
            "env_kwargs": {**self._kwargs(config), "suite": self.name},
        }

    def _known(self, task: str) -> TaskConfig:
        if task not in self._config.tasks:
            raise SimulatorError(unknown(f"task of {self.name}", task, self._config.tasks))
        return self._config.tasks[task]

    def _rule(self, name: str, task: TaskConfig) -> Rule:
        rule = task.success or self._config.success
        if rule is None:
            raise SimulatorError(f"tasks.{name}.success: required, where none is given for the whole suite")
        return rule

    def _kwargs(self, task: TaskConfig) -> dict[str, Any]:
        return {**self._config.kwargs, **task.kwargs}

    def _made(self, task: TaskConfig, *, seen: bool) -> gymnasium.Env:
        """The environment as Gymnasium makes it."""
        kwargs = self._kwargs(task) | ({"render_mode": _PIXELS} if seen else {})
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*render_mode", UserWarning)  # an error of ours, below
                env = gymnasium.make(task.id, max_episode_steps=_NO_LIMIT, disable_env_checker=True, **kwargs)
        except Exception as error:
            raise SimulatorError(f"{task.id} cannot be made: {type(error).__name__}: {error}") from error
        modes = env.metadata.get("render_modes") or ()
        if seen and _PIXELS not in modes:
            found = ", ".join(modes) or "none"
            raise SimulatorError(f"{task.id} cannot be rendered: expected the mode {_PIXELS}, found {found}")
        return env


def _digest(config: SuiteConfig) -> str:
    """Of all that decides how an episode goes."""
    decisive = config.model_dump_json(exclude_unset=True, exclude=_NOT_DECISIVE)
    return hashlib.sha256(decisive.encode()).hexdigest()[:16]


def _function(place: str) -> Expert:
    module, _, name = place.partition(":")
    found = _import(module, key="expert")
    if not hasattr(found, name):
        raise SimulatorError(f"expert: module {module!r} has no function {name!r}")
    return getattr(found, name)


def _import(module: str, *, key: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise SimulatorError(
            f"{key}: {module!r} cannot be imported ({error}); install its package, or put its folder on PYTHONPATH"
        ) from None


def _check_registered(environment: str, *, key: str) -> None:
    module, _, name = environment.rpartition(":")
    if module:
        _import(module, key=key)
    if name not in gymnasium.registry:
        like = difflib.get_close_matches(name, gymnasium.registry, n=5)
        raise SimulatorError(
            f"{key}: no environment {name!r} is registered with Gymnasium{_listed(like)}; "
            "where a package registers it, name that under imports"
        )


def _listed(names: Sequence[str]) -> str:
    return f" (but {', '.join(names)})" if names else ""


def _check_repeatable(env: gymnasium.Env, name: str) -> None:
    key = difference(env)
    if key is not None:
        raise SimulatorError(
            f"{name}: {key} differs between two episodes of the same seed and actions, so that no result could be "
            "repeated; where that is accepted, set repeatable: false"
        )


def _in_words(rules: Mapping[str, Rule]) -> str:
    """One rule if it is that of all tasks, else those of each."""
    tasks: dict[str, list[str]] = {}
    for task, rule in rules.items():
        tasks.setdefault(str(rule), []).append(task)
    if len(tasks) == 1:
        return next(iter(tasks))
    return "; ".join(f"{', '.join(names)}: {rule}" for rule, names in tasks.items())
