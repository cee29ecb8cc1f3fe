"""Parts of an observation are vectors of float32, or images as they are, wherever they lie."""

from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Space, Text, Tuple

from mtil.errors import SimulatorError
from mtil.sim.parts import PartConfig, parts

NESTED = Dict(
    {
        "arm": Dict({"joints": Box(-1, 1, (2, 3), np.float64), "holding": Discrete(2)}),
        "pair": Tuple((MultiBinary(2), MultiDiscrete([3, 4]))),
        "a.dot": Box(-np.inf, np.inf, (), np.float32),
        "camera": Box(0, 255, (4, 6, 3), np.uint8),
        "mission": Text(10),
    }
)


def found(space: Space, configs: dict[str, Any] | None, observation: Any = None) -> dict[str, np.ndarray]:
    read = parts(space, configs and {key: PartConfig.model_validate(config) for key, config in configs.items()})
    observation = space.sample() if observation is None else observation
    values = {key: part.of(observation) for key, part in read.items()}
    assert all(part.space.contains(values[key]) for key, part in read.items())
    return values


def test_every_part_that_holds_numbers_is_there_under_its_name() -> None:
    observation = NESTED.sample()
    values = found(NESTED, None, observation)
    assert {key: (value.shape, value.dtype) for key, value in values.items()} == {
        "arm.joints": ((6,), np.float32),
        "arm.holding": ((1,), np.float32),
        "pair.0": ((2,), np.float32),
        "pair.1": ((2,), np.float32),
        "a.dot": ((1,), np.float32),
        "camera": ((4, 6, 3), np.uint8),
    }
    assert np.array_equal(values["arm.joints"], observation["arm"]["joints"].astype(np.float32).ravel())
    assert np.array_equal(values["pair.1"], observation["pair"][1])
    assert np.array_equal(values["camera"], observation["camera"])


def test_an_observation_without_parts_can_be_taken_apart() -> None:
    space, observation = Box(-1, 1, (5,), np.float64), np.linspace(-1, 1, 5)
    assert np.array_equal(found(space, None, observation)["observation"], observation.astype(np.float32))
    taken = found(space, {"hand": {"of": ".", "stop": 2}, "rest": {"of": ".", "start": 2}, "all": "."}, observation)
    assert {key: len(value) for key, value in taken.items()} == {"hand": 2, "rest": 3, "all": 5}
    assert np.array_equal(np.append(taken["hand"], taken["rest"]), taken["all"])


def test_what_is_taken_shares_no_memory_with_the_environment() -> None:
    space = Dict({"state": Box(-1, 1, (3,), np.float32), "image": Box(0, 255, (2, 2, 3), np.uint8)})
    observation = space.sample()
    values = found(space, None, observation)
    assert not any(np.shares_memory(values[key], observation[key]) for key in observation)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            "joints",
            r"observations\.key: unknown part of the observation 'joints'; did you mean 'arm\.joints'\? valid: ",
        ),
        ("arm", r"unknown part of the observation 'arm'"),
        (".", r"unknown part of the observation '\.'"),
        ("mission", r"observations\.key: 'mission': expected numbers, found Text"),
        ({"of": "arm.joints", "stop": 7}, r"'arm\.joints': expected start < stop <= 6, found 0 and 7"),
        ({"of": "arm.joints", "start": 6}, r"'arm\.joints': expected start < stop <= 6, found 6 and 6"),
    ],
)
def test_what_is_no_part(config: Any, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        found(NESTED, {"key": config})
