"""What is trained at which rate."""

from typing import Any

import pytest
from rich.table import Table
from torch import nn

from mtil.encoders.tuning import TunedEncoder
from mtil.encoders.tuning_config import FullTuning, LoRATuning, Tuning
from mtil.errors import ConfigError
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig, OptimizerConfig
from mtil.training.optimizer import build_optimizer, freeze, parameter_groups
from mtil.training.parameters import parameter_table
from mtil.types import DatasetSpec, FeatureSpec, Task


class Network(nn.Module):
    """An embedding, two layers and a norm, as pretrained networks name them."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(2, 2)
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(2))
        self.norm = nn.LayerNorm(2)


class Encoder(TunedEncoder):
    def __init__(self, tuning: Tuning) -> None:
        super().__init__()
        self.network, self.tuning = Network(), tuning
        self.output = nn.Linear(2, 2)


def config_of(**optimizer: Any) -> ExperimentConfig:
    options = {"learning_rate": 1e-2, "warmup_steps": 1, **optimizer}
    return ExperimentConfig.model_validate({"data": {"path": "."}, "optimizer": options, "trainer": {"max_steps": 10}})


def rates(module: nn.Module) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    groups = parameter_groups(module, config_of().optimizer)
    return {names[id(parameter)]: group.learning_rate for group in groups for parameter in group.parameters}


def test_each_layer_learns_slower_than_the_one_behind_it() -> None:
    found = rates(Encoder(FullTuning(learning_rate=1e-3, layer_decay=0.5)))
    expected = {"output": 1e-2, "network.norm": 1e-3, "network.layers.1": 5e-4, "network.layers.0": 2.5e-4}
    expected |= {"network.embedding": 1.25e-4}
    parts = ("weight", "bias")
    assert found == {f"{name}.{part}": pytest.approx(rate) for name, rate in expected.items() for part in parts}


def test_networks_without_rates_of_their_own_are_parts_as_others() -> None:
    """In the order of the module, so that earlier checkpoints resume."""
    encoder = Encoder(FullTuning())
    (group,) = parameter_groups(encoder, config_of().optimizer)
    assert [id(parameter) for parameter in group.parameters] == [id(parameter) for parameter in encoder.parameters()]


def test_each_warms_up_in_its_own_time_and_decays_if_it_is_no_offset() -> None:
    encoder = Encoder(LoRATuning(learning_rate=1e-3, warmup_steps=3))
    optimizer, schedule = build_optimizer(encoder, config_of(weight_decay=0.1))
    assert [(group["weight_decay"], len(group["params"])) for group in optimizer.param_groups] == [
        (0.1, 1), (0.0, 1), (0.1, 3), (0.0, 5),
    ]  # fmt: skip
    found = []
    for _ in range(4):
        found.append([group["lr"] for group in optimizer.param_groups[::2]])
        optimizer.step()
        schedule.step()
    assert [rate[0] for rate in found][:2] == pytest.approx([5e-3, 1e-2])
    assert [rate[1] for rate in found] == pytest.approx([2.5e-4, 5e-4, 7.5e-4, 1e-3])


def rows_of(table: Table) -> dict[Any, tuple[Any, ...]]:
    """By its first cell, the others of a row."""
    first, *others = (list(column.cells) for column in table.columns)
    return dict(zip(first, zip(*others, strict=True), strict=True))


@pytest.fixture
def policy() -> Policy:
    spec = DatasetSpec(
        (Task("push"),),
        (FeatureSpec("proprio", (3,), "float32", "state"),),
        FeatureSpec("actions", (2,), "float32", "action"),
        {"proprio": (3,), "actions": (2,)},
    )
    config = {"task_encoder": {"kind": "one_hot", "width": 4}, "trunk": {"width": 8, "depth": 1}}
    return Policy(PolicyConfig.model_validate(config), spec)


def test_parameters_are_frozen_by_pattern(policy: Policy) -> None:
    freeze(policy, ["trunk.*", "task_encoders.*.weight"])
    left = {name.split(".")[0] for name, parameter in policy.named_parameters() if parameter.requires_grad}
    assert left == {"head"}


def test_patterns_that_match_nothing(policy: Policy) -> None:
    message = r"optimizer\.frozen: unknown parameters 'trunc\.\*'; .*valid: .*trunk\.blocks\.\*"
    with pytest.raises(ConfigError, match=message):
        freeze(policy, ["head.*", "trunc.*"])
    with pytest.raises(ConfigError, match=r"optimizer\.frozen: expected something to be left to train, found \*"):
        freeze(policy, ["*"])


def test_the_table_says_what_is_trained(policy: Policy) -> None:
    assert parameter_table(policy, OptimizerConfig()) is None
    freeze(policy, ["trunk.*"])
    table = parameter_table(policy, OptimizerConfig())
    assert table is not None
    rows = rows_of(table)
    count = sum(parameter.numel() for parameter in policy.trunk.parameters())
    assert rows["trunk"] == (f"{count:,}", "0", "frozen", "")
    assert rows["task_encoders.one_hot"] == ("4", "4", "trained", "0.001")
