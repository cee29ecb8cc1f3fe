"""Policies for small datasets, and every window of these."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from robots import UNITS

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.sampling import Draw
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.types import Task

HISTORY, CHUNK = 3, 2


@pytest.fixture
def data(mixed: Path) -> DemoDataModule:
    """The dataset of a narrow and a wide task, nothing held out."""
    config = DataConfig(path=mixed, validation_fraction=0)
    return DemoDataModule(config, history=HISTORY, chunk=CHUNK, kinds={"one_hot": 1.0}, seed=0)


@pytest.fixture
def batch(data: DemoDataModule) -> Batch:
    """All its windows, in order of the episodes."""
    return data.train.__getitems__(Draw.part(0, torch.arange(len(data.train))))


@pytest.fixture
def make_policy(data: DemoDataModule) -> Callable[..., Policy]:
    """Makes a policy for the dataset, its normalisation fitted, that depends on z; parts of its config may be given."""

    def make(**parts: Any) -> Policy:
        torch.manual_seed(0)
        small = {"history": HISTORY, "chunk": CHUNK, "task_encoder": {"kind": "one_hot", "width": 8}}
        config = PolicyConfig.model_validate(small | {"trunk": {"width": 16, "depth": 2}} | parts)
        policy = Policy(config, data.store.spec)
        policy.fit(data.statistics)
        with torch.no_grad():  # FiLM begins as the identity
            for parameter in policy.trunk.parameters():
                parameter.add_(0.05 * torch.randn_like(parameter))
        return policy

    return make


@pytest.fixture(scope="module")
def millimetres(opposites: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstrations of `opposites` under other names, where metres are millimetres, and zero lies elsewhere."""
    folder = tmp_path_factory.mktemp("millimetres")
    for task in open_tasks(opposites):
        episodes = [
            replace(
                episode,
                observations={f"my_{key}": UNITS * array + 7 for key, array in episode.observations.items()},
                actions=UNITS * episode.actions - 3,
            )
            for episode in task.episodes()
        ]
        name = f"{task.task.name}-too"
        write_task(folder / f"{name}.hdf5", Task(name, ("again",)), episodes, env_args=task.env_args)
    return folder
