import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.randomness import seed_generators, seed_of

words = st.integers(0, 2**32 - 1)


@given(st.lists(words, max_size=4))
def test_seeds_have_32_bits(parts: list[int]) -> None:
    assert 0 <= seed_of(*parts) < 2**32


def test_neighbours_are_as_far_apart_as_strangers() -> None:
    """Half of the bits differ, whichever part changes, and by however little."""
    neighbours = [
        (seed_of(seed, step, 0), seed_of(*other))
        for seed, step in itertools.product(range(20), range(20))
        for other in ((seed + 1, step, 0), (seed, step + 1, 0), (seed, step, 1), (step + 99, seed, 0))
    ]
    differing = [(one ^ other).bit_count() for one, other in neighbours]
    assert 15.5 < sum(differing) / len(differing) < 16.5
    assert min(differing) > 2


def test_seed_step_and_rank_decide_what_is_drawn() -> None:
    def drawn(seed: int, step: int, rank: int) -> float:
        seed_generators(seed, step, rank=rank)
        return torch.rand(()).item()

    places = list(itertools.product(range(4), range(4), range(4)))
    assert len({drawn(*place) for place in places}) == len(places)
    assert drawn(1, 2, 3) == drawn(1, 2, 3)
