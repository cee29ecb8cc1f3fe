"""Which of the actions that a policy predicts are taken.

Legend: K chunk, A action dimensions.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import assert_never

import numpy as np
from jaxtyping import Float

from mtil.policies.config import EnsembleConfig, ExecutionConfig, FirstActionsConfig

Chunk = Float[np.ndarray, "K A"]


class Execution(ABC):
    """What one slot does with its chunks during one episode."""

    @property
    @abstractmethod
    def wants_chunk(self) -> bool:
        """Whether the policy is to decide before the next action can be taken."""

    @abstractmethod
    def add(self, chunk: Chunk) -> None:
        """Take what the policy predicts from the present step on."""

    @abstractmethod
    def next(self) -> Float[np.ndarray, " A"]:
        """The action of the present step, which then is past."""


class FirstActions(Execution):
    """Takes the first few actions of a chunk one after the other, blind to what comes of them, then asks for another.

    Args:
        steps: How many.
    """

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._left: deque[Float[np.ndarray, " A"]] = deque()

    @property
    def wants_chunk(self) -> bool:
        return not self._left

    def add(self, chunk: Chunk) -> None:
        self._left.extend(chunk[: self._steps])

    def next(self) -> Float[np.ndarray, " A"]:
        return self._left.popleft()


class TemporalEnsemble(Execution):
    """Asks for a chunk at each step, and takes the mean of what the last K chunks say of it.

    The weight of a chunk is `exp(-decay * i)`, i counting from the oldest that reaches the step (Zhao et al. 2023,
    "ACT", arXiv:2304.13705).

    Args:
        decay: 0: all weigh the same; the larger, the more the oldest counts.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._chunks: deque[Chunk] = deque()  # the oldest first, each beginning at the present step

    @property
    def wants_chunk(self) -> bool:
        return True

    def add(self, chunk: Chunk) -> None:
        self._chunks.append(chunk)

    def next(self) -> Float[np.ndarray, " A"]:
        weights = np.exp(-self._decay * np.arange(len(self._chunks)))
        said = np.stack([chunk[0] for chunk in self._chunks])
        later = (chunk[1:] for chunk in self._chunks)
        self._chunks = deque(chunk for chunk in later if len(chunk))
        return (weights @ said / weights.sum()).astype(said.dtype)


def build_execution(config: ExecutionConfig) -> Execution:
    """The execution that a configuration describes, for one episode."""
    match config:
        case FirstActionsConfig():
            return FirstActions(config.steps)
        case EnsembleConfig():
            return TemporalEnsemble(config.decay)
        case _:
            assert_never(config)
