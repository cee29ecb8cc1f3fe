"""Laws of normalisation."""

import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtil.data.statistics import feature_statistics
from mtil.encoders.config import NormalizationMode
from mtil.encoders.normalizer import Normalizer

FLOOR = 1e-2
MODES: tuple[NormalizationMode, ...] = get_args(NormalizationMode)


def rows(*, seed: int = 0, count: int = 1000) -> Tensor:
    """Three dimensions of very different range and place."""
    values = torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))
    return values * torch.tensor([0.1, 1.0, 50.0]) + torch.tensor([-3.0, 0.0, 200.0])


def fitted(values: Tensor, mode: NormalizationMode) -> Normalizer:
    normalizer = Normalizer(values.shape[1])
    normalizer.fit(feature_statistics(values, torch.ones_like(values, dtype=torch.bool)), mode, FLOOR)
    return normalizer


@pytest.mark.parametrize("mode", MODES)
@given(seed=st.integers(0, 2**31))
@settings(max_examples=10)
def test_inverse_undoes_it(mode: NormalizationMode, seed: int) -> None:
    values = rows(seed=seed)
    normalizer = fitted(values, mode)
    torch.testing.assert_close(normalizer.inverse(normalizer(values)), values, rtol=1e-5, atol=1e-4)


def test_mean_and_deviation() -> None:
    values = rows()
    found = fitted(values, "mean_std")(values)
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(3), atol=1e-4, rtol=0)


def test_range() -> None:
    values = rows()
    found = fitted(values, "min_max")(values)
    torch.testing.assert_close(found.amin(0), -torch.ones(3))
    torch.testing.assert_close(found.amax(0), torch.ones(3))


def test_quantiles() -> None:
    values = rows()
    values[0] = 1e6  # an outlier, which these do not mind
    found = fitted(values, "quantile")(values)
    torch.testing.assert_close(found.quantile(0.01, dim=0), -torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.quantile(0.99, dim=0), torch.ones(3), atol=1e-4, rtol=0)


def test_none_is_the_identity() -> None:
    values = rows()
    assert torch.equal(fitted(values, "none")(values), values)
    assert torch.equal(Normalizer(3)(values), values)


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "quantile"])
def test_what_hardly_varies_is_not_blown_up(mode: NormalizationMode) -> None:
    constant = torch.full((10, 1), 7.0)
    normalizer = fitted(constant, mode)
    assert normalizer(constant).abs().max() == 0
    assert normalizer(constant + FLOOR).abs().max() == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("garbage", [1e30, math.inf, math.nan])
def test_padding_is_exactly_zero(garbage: float) -> None:
    values, valid = rows(count=4).reshape(2, 2, 3), torch.tensor([[[True, True, False]], [[True, False, False]]])
    found = fitted(rows(), "mean_std")(values.masked_fill(~valid, garbage), valid)
    assert (found[~valid.expand_as(found)] == 0).all()
    assert torch.equal(found[0, :, :2], fitted(rows(), "mean_std")(values)[0, :, :2])


def test_is_kept_with_the_parameters() -> None:
    trained, loaded = fitted(rows(), "min_max"), Normalizer(3)
    loaded.load_state_dict(trained.state_dict())
    assert torch.equal(loaded(rows()), trained(rows()))
    assert not list(trained.parameters())


@pytest.mark.parametrize("mode", ["mean_std", "min_max"])
def test_extended_it_is_that_of_both_data(mode: NormalizationMode) -> None:
    """Of as many rows each."""
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(500, 3, generator=generator) * 2 + shift for shift in (-1, 4))
    everything = torch.ones(1000, 3, dtype=torch.bool)
    earlier, found, both = Normalizer(3), Normalizer(3), Normalizer(3)
    for normalizer, values in ((earlier, first), (found, second), (both, torch.cat([first, second]))):
        normalizer.fit(feature_statistics(values, everything[: len(values)]), mode, 1e-2)
    found.extend(earlier.shift, earlier.scale)
    torch.testing.assert_close(found.shift, both.shift)
    torch.testing.assert_close(found.scale, both.scale)
