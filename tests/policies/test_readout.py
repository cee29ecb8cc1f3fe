"""Telling, in training, what images show."""

import pytest
import torch
from torch import Tensor

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationConfig
from mtil.policies.config import ReadoutConfig
from mtil.policies.readout import StateReadout
from mtil.types import FeatureSpec

BATCH, HISTORY, STREAMS, CONDITION = 6, 2, (5, 3), 4
TARGETS = (FeatureSpec("objects", (3,), "float32", "state"), FeatureSpec("goal", (2,), "float32", "state"))


@pytest.fixture
def readout() -> StateReadout:
    torch.manual_seed(0)
    found = StateReadout(ReadoutConfig(width=16), TARGETS, streams=STREAMS, condition=CONDITION)
    zeros, ones = (torch.full((3,), value) for value in (0.0, 1.0))
    statistics = {
        target.key: FeatureStatistics(
            mean=ones[:size], std=2 * ones[:size], low=zeros[:size], high=ones[:size], q01=zeros[:size], q99=ones[:size]
        )
        for target in TARGETS
        for size in target.shape
    }
    found.fit(statistics, NormalizationConfig())
    return found


@pytest.fixture
def streams() -> list[Tensor]:
    return [torch.randn(BATCH, HISTORY, width) for width in STREAMS]


def told(readout: StateReadout, streams: list[Tensor], z: Tensor) -> dict[str, Tensor]:
    """What it tells, in raw units."""
    raw = readout.layers(torch.cat([*(stream[:, -1] for stream in streams), z], 1)) * 2 + 1
    return dict(zip(("objects", "goal"), raw.split([3, 2], 1), strict=True))


def test_the_error_is_of_each_valid_dimension_in_normalised_units(readout: StateReadout, streams: list[Tensor]) -> None:
    z = torch.randn(BATCH, CONDITION)
    right = told(readout, streams, z)
    valid = {"objects": torch.rand(BATCH, 3) < 0.5, "goal": torch.ones(BATCH, 2, dtype=torch.bool)}
    torch.testing.assert_close(readout.error(streams, z, right, valid), torch.zeros(BATCH), atol=1e-9, rtol=0)
    off = {key: value + 1.0 for key, value in right.items()}
    expected = torch.cat(list(valid.values()), 1).sum(1) / 2**2  # a deviation is 2
    torch.testing.assert_close(readout.error(streams, z, off, valid), expected)


def test_padding_teaches_nothing(readout: StateReadout, streams: list[Tensor]) -> None:
    z, targets = torch.randn(BATCH, CONDITION), {"objects": torch.randn(BATCH, 3), "goal": torch.randn(BATCH, 2)}
    valid = {"objects": torch.tensor([True, False, False]).expand(BATCH, 3), "goal": torch.zeros(BATCH, 2) > 0}
    readout.error(streams, z, targets, valid).sum().backward()
    gradient = readout.layers[-1].weight.grad
    assert isinstance(gradient, Tensor)
    assert gradient[0].abs().sum() > 0
    assert not gradient[1:].any()


def test_only_the_present_is_told(readout: StateReadout, streams: list[Tensor]) -> None:
    z, targets = torch.randn(BATCH, CONDITION), {"objects": torch.randn(BATCH, 3), "goal": torch.randn(BATCH, 2)}
    valid = {"objects": torch.ones(BATCH, 3) > 0, "goal": torch.ones(BATCH, 2) > 0}
    earlier = [torch.cat([torch.randn_like(stream[:, :-1]), stream[:, -1:]], 1) for stream in streams]
    assert torch.equal(readout.error(streams, z, targets, valid), readout.error(earlier, z, targets, valid))
