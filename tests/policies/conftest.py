"""Policies for small datasets, and every window of these."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.sampling import Draw
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy

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
