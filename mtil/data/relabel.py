"""Hindsight: what a demonstration came to is taken for what it was to reach (Andrychowicz et al. 2017,
"Hindsight experience replay", arXiv:1707.01495). Index arithmetic alone: which row of the store is a window's goal.

Legend: B batch.
"""

from typing import assert_never

import numpy as np
from jaxtyping import Float, Int

from mtil.data.config import FinalGoal, FutureGoal, RandomGoal, Relabelling, StatedGoal
from mtil.data.windows import Place


def goal_rows(config: Relabelling, place: Place, share: Float[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
    """The row of the store that holds each window's goal.

    Args:
        config: Which.
        place: Where the windows' present steps lie.
        share: A number for each, uniform over [0, 1).
    """
    match config:
        case FinalGoal():
            return place.last
        case FutureGoal():
            return place.row + _ahead(config, place.last - place.row, share)
        case RandomGoal():
            return place.first + (share * (place.last - place.first + 1)).astype(np.int64)
        case StatedGoal():
            return place.row
        case _:
            assert_never(config)


def _ahead(config: FutureGoal, left: Int[np.ndarray, " B"], share: Float[np.ndarray, " B"]) -> Int[np.ndarray, " B"]:
    """How many steps ahead: between 1 and those that are left, or 0 where none is."""
    if config.offsets == "uniform":
        steps = 1 + share * left
    elif config.mean == 1:
        steps = np.ones_like(share)
    else:  # the inverse of the distribution function, of offsets up to the end
        stay = 1 - 1 / config.mean
        steps = 1 + np.log1p(-share * (1 - stay**left)) / np.log(stay)
    return np.minimum(steps.astype(np.int64), left)
