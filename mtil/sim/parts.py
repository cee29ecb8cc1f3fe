"""Where in an environment's observation the observations of a policy lie.

Legend: D dimensions of a state.
"""

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Tuple
from jaxtyping import Shaped
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from mtil.config import Config
from mtil.errors import SimulatorError, unknown

WHOLE = "."
"""Where an observation lies that has no parts."""

_ALONE = "observation"  # the key of one that has no parts, and for which no key is given
_NUMBERS = (Box, Discrete, MultiBinary, MultiDiscrete)


class PartConfig(Config):
    """A part of an environment's observation. The name of the part alone will do."""

    of: str = Field(description="Keys of nested dictionaries, joined by dots; '.' is all of an observation without")
    start: NonNegativeInt = Field(default=0, description="The first of the numbers that are taken")
    stop: PositiveInt | None = Field(default=None, description="The first that is not; null: all are")

    @model_validator(mode="before")
    @classmethod
    def _named(cls, values: Any) -> Any:
        return {"of": values} if isinstance(values, str) else values


class Part:
    """What a policy sees of an observation under one key: a vector of numbers, cast to float32, or an image as it is.

    Args:
        space: Of the environment's observations.
        config: Which part.

    Attributes:
        space: Of the part.

    Raises:
        SimulatorError: There is no such part, or it holds no numbers.
    """

    def __init__(self, space: Space, config: PartConfig) -> None:
        leaves = {_dotted(path): (path, leaf) for path, leaf in _leaves(space)}
        if config.of not in leaves:
            raise SimulatorError(unknown("part of the observation", config.of, leaves))
        self._path, leaf = leaves[config.of]
        if not isinstance(leaf, _NUMBERS):
            raise SimulatorError(f"{config.of!r}: expected numbers, found {type(leaf).__name__}")
        self._image = _is_image(leaf)
        self._slice = slice(config.start, config.stop)
        self.space = leaf if self._image else _vectors(config, prod(leaf.shape or ()))

    def of(self, observation: Any) -> Shaped[np.ndarray, "..."]:
        """The part of an observation, (D,) float32 or (height, width, 3) uint8, copied."""
        for key in self._path:
            observation = observation[key]
        if self._image:
            return np.array(observation, np.uint8)
        return np.array(observation, np.float32).reshape(-1)[self._slice]


def parts(space: Space, configs: Mapping[str, PartConfig] | None) -> dict[str, Part]:
    """The parts of an observation by the key under which a policy sees them.

    Args:
        space: Of the environment's observations.
        configs: By key; None: every part that holds numbers, under its own name.

    Raises:
        SimulatorError: A part does not exist, or holds no numbers.
    """
    if configs is None:
        names = [_dotted(path) for path, leaf in _leaves(space) if isinstance(leaf, _NUMBERS)]
        configs = {_ALONE if name == WHOLE else name: PartConfig(of=name) for name in names}
    found: dict[str, Part] = {}
    for key, config in configs.items():
        try:
            found[key] = Part(space, config)
        except SimulatorError as error:
            raise SimulatorError(f"observations.{key}: {error}") from None
    return found


def _leaves(space: Space, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Space]]:
    """The spaces that are no dictionaries or tuples of others, and the keys that lead to each."""
    match space:
        case Dict():
            children = space.spaces.items()
        case Tuple():
            children = enumerate(space.spaces)
        case _:
            yield path, space
            return
    for key, child in children:
        yield from _leaves(child, (*path, key))


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path)) or WHOLE


def _is_image(space: Space) -> bool:
    return space.dtype == np.uint8 and space.shape is not None and len(space.shape) == 3 and space.shape[2] == 3


def _vectors(config: PartConfig, size: int) -> Box:
    stop = size if config.stop is None else config.stop
    if not config.start < stop <= size:
        raise SimulatorError(f"{config.of!r}: expected start < stop <= {size}, found {config.start} and {stop}")
    return Box(-np.inf, np.inf, (stop - config.start,), np.float32)
