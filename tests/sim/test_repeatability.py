"""What differs between two episodes of the same seed and actions is found, wherever it shows."""

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.spaces import Box, Dict

from mtil.sim.repeatability import difference


class Fickle(gymnasium.Env):
    """Repeats itself in all but one thing, which counts the episodes."""

    action_space = Box(-1, 1, (1,), np.float32)
    observation_space = Dict({"state": Box(-np.inf, np.inf, (1,), np.float32)})

    def __init__(self, fickle: str | None) -> None:
        self._fickle, self._episodes = fickle, 0

    def _count(self, what: str) -> int:
        return self._episodes if what == self._fickle else 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[dict[str, np.ndarray], dict]:
        self._steps, self._episodes = 0, self._episodes + 1
        return {"state": np.full(1, self._count("start"), np.float32)}, {}

    def step(self, action: np.ndarray) -> tuple[dict[str, np.ndarray], float, bool, bool, dict]:
        self._steps += 1
        unknown = np.full(1, np.nan if self._steps > 1 else self._count("step"), np.float32)
        return {"state": unknown}, float(self._count("reward")), self._steps == 4 - self._count("end"), False, {}


@pytest.mark.parametrize(
    ("fickle", "found"),
    [(None, None), ("start", "'state'"), ("step", "'state'"), ("reward", "'reward'"), ("end", "'end'")],
)
def test_a_difference_is_named(fickle: str | None, found: str | None) -> None:
    assert difference(Fickle(fickle)) == found
