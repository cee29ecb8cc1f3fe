"""Shares of a batch, by task."""

from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.errors import ConfigError, DatasetError
from mtil.types import DatasetSpec


def module(path: Path, *, vocabulary: DatasetSpec | None = None, **config: Any) -> DemoDataModule:
    data = DataConfig.model_validate({"path": path, "validation_fraction": 0, "batch_size": 8} | config)
    return DemoDataModule(data, history=1, chunk=1, kinds={"one_hot": 1.0}, vocabulary=vocabulary, seed=0)


def drawn(data: DemoDataModule, batches: int = 50) -> dict[str, int]:
    """Examples of each task in so many batches."""
    names = data.store.spec.task_names
    drawn = [batch.task.bincount(minlength=len(names)) for batch in islice(iter(data.train_dataloader()), batches)]
    return dict(zip(names, torch.stack(drawn).sum(0).tolist(), strict=True))


def test_rehearsed_tasks_have_their_share(opposites: Path, newcomers: Path) -> None:
    """Of 8 examples a quarter; the tasks of a group are equal among each other."""
    data = module(newcomers, tasks=["around"], rehearsal={"path": opposites, "share": 0.25})
    assert data.store.rehearsed == ("left", "right")
    assert drawn(data) == {"around": 300, "left": 50, "right": 50}


def test_rehearsed_tasks_have_their_share_however_others_are_sampled(opposites: Path, newcomers: Path) -> None:
    """By name, or whatever the task: the share is theirs."""
    rehearsal, weights = {"path": opposites, "share": 0.25}, {"around": 5, "left": 1, "right": 4}
    data = module(newcomers, tasks=["around"], rehearsal=rehearsal, sampling={"weights": weights})
    assert drawn(data) == {"around": 300, "left": 20, "right": 80}
    uniform = drawn(module(newcomers, tasks=["around"], rehearsal=rehearsal, sampling={"kind": "uniform"}))
    assert uniform["around"] == 300
    assert uniform["left"] + uniform["right"] == 100


def test_what_is_new_is_not_rehearsed(opposites: Path, newcomers: Path) -> None:
    """The new demonstrations of a task take the place of its earlier ones."""
    data = module(newcomers, rehearsal={"path": opposites})
    assert data.store.rehearsed == ("left",)
    assert drawn(data) == {"around": 100, "right": 100, "left": 200}


def test_tasks_without_demonstrations_are_known_and_never_drawn(opposites: Path, newcomers: Path) -> None:
    earlier = module(opposites).store.spec
    data = module(newcomers, vocabulary=earlier)
    assert data.store.spec.task_names == ["left", "right", "around"]
    assert data.task_weights == [0, 1, 1]
    assert drawn(data) == {"left": 0, "right": 200, "around": 200}
    uniform = drawn(module(newcomers, vocabulary=earlier, sampling={"kind": "uniform"}))
    assert uniform["left"] == 0
    assert sum(uniform.values()) == 400


@pytest.mark.parametrize(
    ("config", "error", "message"),
    [
        ({"sampling": {"weights": {"around": 1}}}, ConfigError, "data.sampling.weights: no weight for task 'right'"),
        ({"rehearsal": {"tasks": ["lift"]}}, DatasetError, "data.rehearsal.tasks: unknown task 'lift'; .*left, right"),
        ({"rehearsal": {"tasks": ["right"]}}, DatasetError, "expected tasks that data.path has not, found right"),
    ],
)
def test_rehearsal_that_cannot_be(
    opposites: Path, newcomers: Path, config: dict[str, Any], error: type[Exception], message: str
) -> None:
    rehearsal = {"path": opposites, **config.pop("rehearsal", {})}
    with pytest.raises(error, match=message):
        module(newcomers, rehearsal=rehearsal, **config)
