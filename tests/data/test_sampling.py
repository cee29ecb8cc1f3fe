from collections import Counter
from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.apportionment import integer_weights
from mtil.data.sampling import SequentialBatchSampler, StratifiedBatchSampler

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=9)
shares = st.lists(st.one_of(st.integers(1, 50).map(float), st.floats(0.01, 50)), min_size=9, max_size=9)


def sampler(sizes: list[int], weights: list[float], batch_size: int, **options: int) -> StratifiedBatchSampler:
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    return StratifiedBatchSampler(
        stratum,
        weights=weights,
        batch_size=batch_size,
        **({"seed": 0} | options),  # pyright: ignore[reportArgumentType]
    )


@given(sizes, shares, st.integers(1, 40), st.integers(0, 99))
def test_every_stratum_stays_within_one_of_its_share(
    sizes: list[int], weights: list[float], batch_size: int, seed: int
) -> None:
    """Also with more strata than places in a batch."""
    weights = weights[: len(sizes)]
    exact = integer_weights(weights)
    sampled = sampler(sizes, weights, batch_size, seed=seed)
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    had = np.zeros(len(sizes), int)
    for step in range(40):
        had += np.bincount(stratum[sampled.batch(step)], minlength=len(sizes))
        for count, weight in zip(had.tolist(), exact.tolist(), strict=True):
            share = Fraction((step + 1) * batch_size * weight, int(exact.sum()))
            assert abs(count - share) < 1
    assert had.sum() == 40 * batch_size


@given(sizes, shares, st.integers(1, 40))
def test_no_window_repeats_within_a_pass_over_its_stratum(
    sizes: list[int], weights: list[float], batch_size: int
) -> None:
    sampled = sampler(sizes, weights[: len(sizes)], batch_size)
    drawn = np.concatenate([sampled.batch(step) for step in range(30)])
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    for i, size in enumerate(sizes):
        own = drawn[stratum[drawn] == i]
        for pass_ in np.split(own, np.arange(size, len(own), size)):
            assert max(Counter(pass_.tolist()).values(), default=1) == 1


@given(sizes, shares, st.integers(1, 20), st.integers(0, 60))
def test_passes_may_begin_later_with_the_same_shares(
    sizes: list[int], weights: list[float], batch_size: int, origin: int
) -> None:
    """All windows of a stratum are had before any is had again, from there on; the quotas are those of all steps."""
    weights, stratum = weights[: len(sizes)], np.repeat(np.arange(len(sizes)), sizes)
    whole, later = sampler(sizes, weights, batch_size), sampler(sizes, weights, batch_size, origin=origin)
    steps = range(origin, origin + 20)
    for step in steps:
        assert stratum[later.batch(step)].tolist() == stratum[whole.batch(step)].tolist()
    drawn = np.concatenate([later.batch(step) for step in steps])
    for i, size in enumerate(sizes):
        own = drawn[stratum[drawn] == i]
        for pass_ in np.split(own, np.arange(size, len(own), size)):
            assert max(Counter(pass_.tolist()).values(), default=1) == 1


@given(sizes, shares, st.integers(1, 20))
def test_shares_that_were_others_before_are_kept_from_the_origin_on(
    sizes: list[int], weights: list[float], batch_size: int
) -> None:
    """However late that is: what was before need not be counted."""
    origin, weights = 10**12, weights[: len(sizes)]
    whole, later = sampler(sizes, weights, batch_size), sampler(sizes, weights, batch_size, origin=origin, anew=True)
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    for step in range(20):
        assert stratum[later.batch(origin + step)].tolist() == stratum[whole.batch(step)].tolist()


@given(st.permutations(range(12)), st.integers(0, 3))
def test_a_batch_depends_on_seed_and_step_alone(order: list[int], seed: int) -> None:
    forward = sampler([5, 1, 30], [1.0, 2.0, 0.5], 8, seed=seed)
    expected = [forward.batch(step).tolist() for step in range(12)]
    jumping = sampler([5, 1, 30], [1.0, 2.0, 0.5], 8, seed=seed)
    assert {step: jumping.batch(step).tolist() for step in order} == dict(enumerate(expected))


@given(sizes, shares, st.integers(1, 40), st.integers(0, 40))
def test_a_batch_is_each_stratums_next_share_of_its_passes(
    sizes: list[int], weights: list[float], batch_size: int, step: int
) -> None:
    """The reference draws for one batch alone, stratum by stratum; the sampler for many batches at once."""
    weights = weights[: len(sizes)]
    before, after = (sampler(sizes, weights, batch_size, seed=5).counts(steps) for steps in (step, step + 1))
    first = np.cumsum(sizes) - sizes
    expected = []
    for i, size in enumerate(sizes):
        members = first[i] + np.arange(size)
        passes = [
            np.random.default_rng([5, 1, i, pass_]).permutation(members)
            for pass_ in range(before[i] // size, -(-after[i] // size))
        ]
        begin = before[i] // size * size
        expected += np.concatenate([members[:0], *passes])[before[i] - begin : after[i] - begin].tolist()
    assert sampler(sizes, weights, batch_size, seed=5).batch(step).tolist() == expected


def test_iterating_from_a_step_continues_the_run() -> None:
    whole = [draw.windows.tolist() for draw in islice(sampler([9, 4], [1.0, 1.0], 6), 10)]
    resumed = [(draw.step, draw.windows.tolist()) for draw in islice(sampler([9, 4], [1.0, 1.0], 6, start=7), 3)]
    assert resumed == list(zip(range(7, 10), whole[7:], strict=True))


@given(sizes, shares, st.integers(1, 40), st.integers(1, 5), st.integers(0, 30))
def test_the_ranks_parts_make_the_global_batch(
    sizes: list[int], weights: list[float], batch_size: int, ranks: int, start: int
) -> None:
    """Unequal parts and empty ones included; and a stratum is shared out evenly."""
    weights = weights[: len(sizes)]
    whole = sampler(sizes, weights, batch_size).batch(start)
    parts = [
        next(iter(sampler(sizes, weights, batch_size, start=start, rank=rank, world_size=ranks)))
        for rank in range(ranks)
    ]
    found = np.full(batch_size, -1)
    for draw in parts:
        found[draw.places] = draw.windows
    assert found.tolist() == whole.tolist()
    assert sum(len(draw.windows) for draw in parts) == batch_size
    assert sum(draw.weight.double().sum().item() for draw in parts) / ranks == pytest.approx(1)
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    counts = np.stack([np.bincount(stratum[draw.windows.numpy()], minlength=len(sizes)) for draw in parts])
    assert (np.ptp(counts, axis=0) <= 1).all()


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_a_task_of_one_window_beside_tasks_of_thousands(alpha: float) -> None:
    sizes = [1, 5_000, 20_000]
    weights = [size**alpha for size in sizes]
    sampled = sampler(sizes, weights, 64)
    drawn = np.concatenate([sampled.batch(step) for step in range(200)])
    had = np.bincount(np.searchsorted(np.cumsum(sizes), drawn, side="right"), minlength=3)
    exact = integer_weights(weights)
    assert (abs(had - 200 * 64 * exact / exact.sum()) < 1).all()


@given(sizes, st.integers(1, 40), st.integers(0, 10_000))
def test_any_step_is_reached_at_once(sizes: list[int], batch_size: int, step: int) -> None:
    """Counting begins anew after each period, and arrives at what counting from the start arrives at."""
    weights = [float(size) for size in sizes]
    patient = sampler(sizes, weights, batch_size)
    counted = np.zeros(len(sizes), int)
    for each in range(step % 50):
        counted = counted + np.bincount(
            np.repeat(np.arange(len(sizes)), sizes)[patient.batch(each)], minlength=len(sizes)
        )
    assert sampler(sizes, weights, batch_size).counts(step % 50).tolist() == counted.tolist()
    period = int(sum(weights))
    ahead = sampler(sizes, weights, batch_size).counts(step + period) - sampler(sizes, weights, batch_size).counts(step)
    assert ahead.tolist() == [batch_size * size for size in sizes]


def test_seeds_differ() -> None:
    assert sampler([50], [1.0], 16, seed=1).batch(0).tolist() != sampler([50], [1.0], 16, seed=2).batch(0).tolist()


def test_huge_weights_do_not_overflow() -> None:
    had = np.bincount(sampler([5, 5], [3e15, 1e15], 8).batch(0) // 5, minlength=2)
    assert had.tolist() == [6, 2]


@given(st.integers(0, 50), st.integers(1, 9), st.integers(1, 3))
def test_validation_sees_every_window_once(windows: int, batch_size: int, ranks: int) -> None:
    seen = [
        window
        for rank in range(ranks)
        for draw in SequentialBatchSampler(windows, batch_size=batch_size, rank=rank, world_size=ranks)
        for window in draw.windows.tolist()
    ]
    assert sorted(seen) == list(range(windows))
    batches = {
        len(list(SequentialBatchSampler(windows, batch_size=batch_size, rank=rank, world_size=ranks)))
        for rank in range(ranks)
    }
    assert batches == {-(-windows // batch_size)}
