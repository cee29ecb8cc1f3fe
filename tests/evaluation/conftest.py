from collections.abc import Sequence

import numpy as np
import pytest
from torch import Tensor

from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, summary
from mtil.evaluation.rollout import Observation
from mtil.sim.base import load


@pytest.fixture
def result() -> EvaluationResult:
    """Two tasks of a toy, two episodes each."""
    protocol = EvaluationProtocol(
        suite="toy",
        seed=3,
        episodes_per_task=2,
        horizon=20,
        success="the point near the goal",
        condition="language",
        checkpoint="runs/toy/checkpoints/last.ckpt",
    )
    ended = {"stick-pull": [True, True], "handle-press-side": [True, False]}
    outcomes = [
        Outcome(task, episode, placement=episode, told=f"do {task}", success=success, length=7)
        for task, row in ended.items()
        for episode, success in enumerate(row)
    ]
    return summary(protocol, outcomes)


class Controller:
    """The toy's expert in every slot, its strides multiplied by z; it keeps the order of tasks in each slot."""

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self.tasks: list[list[str]] = [[] for _ in range(slots)]
        self._gains = [0.0] * slots
        self._expert = load("toy").expert("near") or pytest.fail("the toy has an expert")

    def reset(self, row: int, z: Tensor, task: str) -> None:
        self._gains[row] = float(z[0])
        self.tasks[row].append(task)

    def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
        assert len(observations) == self.slots
        return [
            None if observation is None else np.float32(gain) * self._expert(observation)
            for observation, gain in zip(observations, self._gains, strict=True)
        ]


@pytest.fixture
def controller(toy_suite: str) -> type[Controller]:
    return Controller
