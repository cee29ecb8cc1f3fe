"""Laws of quotas, at both levels."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.apportionment import Apportionment, integer_weights
from mtil.errors import ConfigError

weight = st.one_of(st.integers(1, 20).map(float), st.floats(0.01, 20))
grouped = st.lists(st.tuples(weight, st.lists(weight, min_size=1, max_size=5)), min_size=1, max_size=4)
Grouped = list[tuple[float, list[float]]]


def made(of: Grouped, batch_size: int, seed: int = 0) -> Apportionment:
    return Apportionment(
        [weight for _, weights in of for weight in weights],
        batch_size=batch_size,
        seed=seed,
        groups=[group for group, (_, weights) in enumerate(of) for _ in weights],
        shares=[share for share, _ in of],
    )


def fractions(weights: list[float]) -> list[Fraction]:
    whole = integer_weights(weights).tolist()
    return [Fraction(value, sum(whole)) for value in whole]


@given(grouped, st.integers(1, 40), st.integers(0, 9))
def test_groups_and_their_strata_stay_within_one_of_their_shares(of: Grouped, batch_size: int, seed: int) -> None:
    """A group among all examples, a stratum among those of its group; whatever number of either."""
    quotas, shares = made(of, batch_size, seed), fractions([share for share, _ in of])
    before = np.zeros(sum(len(weights) for _, weights in of), int)
    for steps in range(1, 30):
        counts = quotas.counts(steps)
        assert (counts >= before).all()
        assert counts.sum() == steps * batch_size
        before, first = counts, 0
        for share, (_, weights) in zip(shares, of, strict=True):
            own, first = counts[first : first + len(weights)].tolist(), first + len(weights)
            assert abs(sum(own) - steps * batch_size * share) < 1
            for count, part in zip(own, fractions(weights), strict=True):
                assert abs(count - sum(own) * part) < 1


@given(
    st.lists(st.tuples(st.integers(1, 4), st.lists(st.integers(1, 3), min_size=1, max_size=3)), min_size=1, max_size=3),
    st.integers(1, 12),
    st.integers(0, 60),
)
def test_counting_from_the_last_period_is_counting_from_the_start(
    of: list[tuple[int, list[int]]], batch_size: int, steps: int
) -> None:
    floats = [(float(share), [float(weight) for weight in weights]) for share, weights in of]
    patient, counts = made(floats, batch_size), np.zeros(sum(len(weights) for _, weights in of), np.int64)
    for step in range(steps):
        counts = patient.advanced(counts, step + 1)
    assert made(floats, batch_size).counts(steps).tolist() == counts.tolist()


@given(st.lists(weight, min_size=1, max_size=9), st.integers(1, 40), weight)
def test_one_group_is_as_none(weights: list[float], batch_size: int, share: float) -> None:
    alone = Apportionment(weights, batch_size=batch_size, seed=3)
    grouped = Apportionment(weights, batch_size=batch_size, seed=3, groups=[0] * len(weights), shares=[share])
    for steps in range(20):
        assert alone.counts(steps).tolist() == grouped.counts(steps).tolist()


def test_two_datasets_of_ten_and_of_three_tasks_halve_every_batch() -> None:
    quotas = made([(1.0, [1.0] * 10), (1.0, [1.0] * 3)], 256)
    for steps in range(1, 50):
        assert quotas.counts(steps)[:10].sum() == 128 * steps
    assert quotas.counts(30).tolist() == [384] * 10 + [1280] * 3


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_weights_must_be_positive(weight: float) -> None:
    with pytest.raises(ConfigError, match="weights must be positive"):
        integer_weights([1.0, weight])


@pytest.mark.parametrize(
    ("weights", "whole"),
    [([3.0, 1.0, 7.0], [3, 1, 7]), ([0.7, 0.3], [7, 3]), ([0.5, 2.0], [1, 4]), ([0.25, 0.75], [1, 3])],
)
def test_weights_are_kept_exactly_as_they_are_written(weights: list[float], whole: list[int]) -> None:
    assert integer_weights(weights).tolist() == whole


def test_weights_that_no_whole_numbers_have_are_rounded() -> None:
    found = integer_weights([2**0.5, 1.0])
    assert found.sum() == pytest.approx(2**20, abs=1)
    assert found[0] / found[1] == pytest.approx(2**0.5, rel=1e-5)


@pytest.mark.parametrize("steps", [1, 2_000_000, 10**9])
def test_shares_stay_exact_where_64_bits_would_not_hold_their_products(steps: int) -> None:
    weights, batch_size = [0.333333333, 0.666666667], 8192
    parts, quotas = fractions(weights), Apportionment(weights, batch_size=batch_size, seed=0)
    assert [part.denominator for part in parts] == [10**9, 10**9]
    counts = np.array([int((steps - 1) * batch_size * part) for part in parts])
    counts[0] += (steps - 1) * batch_size - counts.sum()
    for step in range(steps, steps + 20):
        counts = quotas.advanced(counts, step)
        assert counts.sum() == step * batch_size
        assert all(abs(int(count) - step * batch_size * part) < 1 for count, part in zip(counts, parts, strict=True))
