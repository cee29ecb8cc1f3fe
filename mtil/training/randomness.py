"""What a training step draws: a function of the run's seed, the step and the rank."""

import torch

_RANK = 0x9E3779B97F4A7C15  # an odd number with its bits well spread, so that no two ranks' seeds meet


def seed_generators(seed: int, *, rank: int) -> None:
    """Seed PyTorch's default generators (`torch.manual_seed` does the same, but slower).

    Args:
        seed: Of the step.
        rank: Of the process; the first one's seed is the step's own.
    """
    mixed = (seed + rank * _RANK) % 2**64
    torch.default_generator.manual_seed(mixed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed(mixed)
