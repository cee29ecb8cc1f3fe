"""Short runs on small datasets."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mtil.training.config import ExperimentConfig

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
        values["data"] |= {"path": path}
        return ExperimentConfig.model_validate(values | sections)

    return make


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Python's own handling of Ctrl-C, whatever the test leaves behind."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)
