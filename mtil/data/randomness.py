"""Seeds for PyTorch: what a step draws is a function of the run's seed, the step and the rank."""

import torch

_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15


def seed_of(*parts: int) -> int:
    """A seed of 32 bits, every one of which depends on every bit of all parts, in their order.

    PyTorch's generator on the CPU looks at no more than the lower 32 bits of what it is seeded with. (Mixed as in
    SplitMix64: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators".)
    """
    word = 0
    for part in parts:
        word = (word + part + _GOLDEN) & _WORD
        word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & _WORD
        word = ((word ^ word >> 27) * 0x94D049BB133111EB) & _WORD
        word ^= word >> 31
    return word >> 32


def seed_generators(seed: int, step: int, *, rank: int) -> None:
    """Seed PyTorch's default generators (`torch.manual_seed` does the same, but slower)."""
    mixed = seed_of(seed, step, rank)
    torch.default_generator.manual_seed(mixed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(mixed)
