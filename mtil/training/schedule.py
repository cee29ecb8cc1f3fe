"""Learning-rate schedules, as factors of the base rate."""

import math
from collections.abc import Callable


def warmup_cosine(warmup: int, steps: int) -> Callable[[int], float]:
    """Linear warm-up, then half a cosine down to zero at the last step (Loshchilov & Hutter 2017, arXiv:1608.03983)."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return 0.5 * (1 + math.cos(math.pi * progress))

    return factor
