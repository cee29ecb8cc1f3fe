"""Short runs on small datasets."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtil.training.config import ExperimentConfig
from mtil.training.gradients import Population
from mtil.types import DatasetSpec, FeatureSpec, Task

SMALL: dict[str, dict[str, Any]] = {
    "data": {"batch_size": 16, "validation_fraction": 0.2},
    "policy": {"task_encoder": {"kind": "one_hot", "width": 8}, "trunk": {"width": 16, "depth": 1}},
    "optimizer": {"learning_rate": 1e-2, "warmup_steps": 5, "ema_decay": 0.9},
    "trainer": {
        "max_steps": 60,
        "log_every": 10,
        "validate_every": 20,
        "checkpoint_every": 25,
        "threads": 1,
        "progress_bar": False,
    },
}
MakeConfig = Callable[..., ExperimentConfig]


@pytest.fixture(scope="session")
def make_config() -> MakeConfig:
    """Makes the configuration of a short run on a dataset; sections of it may be added to."""

    def make(path: Path, **sections: Any) -> ExperimentConfig:
        values: dict[str, Any] = {name: section | sections.pop(name, {}) for name, section in SMALL.items()}
        values["data"] = {"path": path} | values["data"]
        return ExperimentConfig.model_validate(values | sections)

    return make


@pytest.fixture
def left() -> DatasetSpec:
    """What there is of a dataset of one task."""
    state, action = FeatureSpec("proprio", (3,), "float32", "state"), FeatureSpec("actions", (2,), "float32", "action")
    return DatasetSpec((Task("left"),), (state,), action, widths={"proprio": (3,), "actions": (2,)})


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Python's own handling of Ctrl-C, whatever the test leaves behind."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


class LinearProblem:
    """Losses whose gradients are given vectors, one for each window and telling: every variance is known exactly.

    Args:
        sizes: Windows of each task.
        ways: Tellings of each task.
        apart: How far the tasks' means lie from each other; 0: all tasks are alike, window by window.
        seed: Decides the vectors.
    """

    def __init__(self, sizes: list[int], *, ways: list[int], apart: float = 1.0, seed: int = 0) -> None:
        rng, width = np.random.default_rng(seed), 4
        self.population = Population(np.repeat(np.arange(len(sizes)), sizes), np.array(ways))
        centre = apart * rng.normal(size=(len(sizes), 1, width))[self.population.task]
        scatter = rng.normal(size=(sum(sizes), 1, width))
        if not apart:
            scatter = np.concatenate([scatter[:size] for size in sizes])
        self.vectors = centre + scatter + 0.5 * rng.normal(size=(sum(sizes), max(ways), width))

    def __call__(self, windows: np.ndarray, telling: np.ndarray, weight: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(weight @ self.vectors[windows, telling])

    def of(self, task: int) -> np.ndarray:
        """The vectors of one task, (windows, tellings, 4)."""
        return self.vectors[self.population.task == task][:, : self.population.tellings[task]]

    @property
    def means(self) -> np.ndarray:
        """The tasks' gradients, (tasks, 4)."""
        return np.stack([self.of(task).mean((0, 1)) for task in range(len(self.population.tellings))])


@pytest.fixture(scope="session")
def linear_problem() -> type[LinearProblem]:
    return LinearProblem
