"""A dataset and the same in other units: what policies of several datasets are tested with."""

from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.sampling import Draw
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.types import DatasetSpec

HEADS: list[dict[str, Any]] = [{"kind": "gaussian"}, {"kind": "mixture"}, {"kind": "discretised", "bins": 16}]
UNITS = 1000.0
"""How many of one are one of the other."""
SMALL: dict[str, Any] = {
    "history": 2,
    "chunk": 2,
    "task_encoder": {"kind": "one_hot", "width": 8},
    "trunk": {"width": 16, "depth": 1},
}


def module(*, vocabulary: DatasetSpec | None = None, **config: Any) -> DemoDataModule:
    parts: dict[str, Any] = {"history": 2, "chunk": 2, "kinds": {"one_hot": 1.0}}
    data = DataConfig.model_validate({"validation_fraction": 0} | config)
    return DemoDataModule(data, vocabulary=vocabulary, seed=0, **parts)


def mixture(opposites: Path, millimetres: Path, **config: Any) -> DemoDataModule:
    keys = {"proprio": "my_proprio", "goal": "my_goal"}
    return module(mixture=[{"path": opposites}, {"path": millimetres, "keys": keys}], **config)


def policy_of(data: DemoDataModule, **parts: Any) -> Policy:
    torch.manual_seed(0)
    policy = Policy(PolicyConfig.model_validate(SMALL | parts), data.store.spec)
    policy.fit(data.statistics, data.own_statistics)
    return policy.eval()


def every(data: DemoDataModule) -> Batch:
    return data.train.__getitems__(Draw.part(0, torch.arange(len(data.train))))


@torch.no_grad()
def nll(policy: Policy, batch: Batch) -> Float[Tensor, " B"]:
    return policy.nll(batch, torch.zeros(len(batch), policy.task_encoders.width))
