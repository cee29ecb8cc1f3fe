"""How pretrained networks are trained along."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mtil.encoders.config import LanguageConfig, PretrainedConfig, ResNetConfig, VideoModelConfig
from mtil.encoders.hub import load_network
from mtil.encoders.resnet import ResNetEncoder
from mtil.encoders.tuning import layers, merged, tune, with_base_layers
from mtil.encoders.tuning_config import FrozenTuning, FullTuning, LoRATuning
from mtil.errors import EncoderError

EXAMPLE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


def vit(vision_models: Path) -> nn.Module:
    return load_network(vision_models / "vit", spare="pooler.").eval()


def seen(network: nn.Module) -> torch.Tensor:
    return network(pixel_values=EXAMPLE).last_hidden_state


def adapted(network: nn.Module, **options: Any) -> set[str]:
    """Names of the layers that LoRA is added to."""
    tune(network, LoRATuning(**options), features=lambda: seen(network), what="vit")
    return {name.split(".lora_A")[0] for name, _ in network.named_parameters() if ".lora_A" in name}


def test_adapters_begin_as_nothing(vision_models: Path) -> None:
    network = vit(vision_models)
    before = seen(network)
    assert adapted(network) == {f"layers.{i}.attention.{name}_proj" for i in (0, 1) for name in ("q", "v")}
    assert torch.equal(seen(network), before)


def test_targets_may_be_named(vision_models: Path) -> None:
    assert adapted(vit(vision_models), targets=("fc1",)) == {"layers.0.mlp.fc1", "layers.1.mlp.fc1"}
    assert adapted(vit(vision_models), targets=("layers.1.mlp.fc1",)) == {"layers.1.mlp.fc1"}


def test_targets_that_are_not_there(vision_models: Path) -> None:
    message = r"vit: tuning\.targets: unknown layer for LoRA 'q_poj'; did you mean 'q_proj'\? valid: fc1, fc2, k_proj, "
    with pytest.raises(EncoderError, match=message):
        adapted(vit(vision_models), targets=("q_proj", "q_poj"))


def test_merged_adapters_do_the_same(vision_models: Path) -> None:
    """And a network with adapters takes the state of one without."""
    network, plain, again = vit(vision_models), vit(vision_models), vit(vision_models)
    adapted(network)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    state = merged(network)
    plain.load_state_dict(state)
    torch.testing.assert_close(seen(plain), seen(network), atol=1e-5, rtol=1e-4)
    adapted(again)
    again.load_state_dict(with_base_layers(state, again), strict=False)
    assert torch.equal(seen(again), seen(plain))


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("vit", "embeddings.cls_token", "layernorm.bias"), ("dinov3", "embeddings.cls_token", "norm.bias")],
)
def test_layers_are_numbered_from_the_input(vision_models: Path, name: str, first: str, last: str) -> None:
    found = layers(load_network(vision_models / name, spare="pooler."))
    assert (found[first], found[last]) == (0, 3)
    assert {depth for parameter, depth in found.items() if ".0." in parameter} == {1}
    assert {depth for parameter, depth in found.items() if ".1." in parameter} == {2}


def test_stages_of_residual_networks_are_layers() -> None:
    found = layers(ResNetEncoder(ResNetConfig(), condition=2).network)
    assert [found[name] for name in ("conv1.weight", "layer1.0.conv1.weight", "layer4.1.conv2.weight")] == [0, 1, 4]


@pytest.mark.parametrize("tuning", [FrozenTuning(), LoRATuning(), FullTuning()], ids=lambda tuning: tuning.kind)
def test_residual_networks_are_tuned_too(tuning: FrozenTuning | LoRATuning | FullTuning) -> None:
    encoder = ResNetEncoder(ResNetConfig(tuning=tuning), condition=2).train()
    encoder(torch.rand(2, 3, 32, 32), torch.rand(2, 2)).sum().backward()
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained == {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    network = [name for name in trained if name.startswith("network.")]
    expected = {"frozen": not network, "lora": network and all(".lora_" in name for name in network), "full": network}
    assert expected[tuning.kind]


def test_what_says_nothing_is_refused() -> None:
    for values in ({"trainable": "no"}, {"trainable": True, "tuning": {"kind": "frozen"}}):
        with pytest.raises(ValueError, match="trainable"):
            PretrainedConfig.model_validate({"model": "a", **values})
    with pytest.raises(ValueError, match="targets"):
        LoRATuning(targets=())


@pytest.mark.parametrize("config", [LanguageConfig, PretrainedConfig, VideoModelConfig])
def test_earlier_configurations_say_trainable(config: type[Any]) -> None:
    assert config.model_validate({"model": "a", "trainable": True}).tuning == FullTuning()
    assert config.model_validate({"model": "a", "trainable": False}).tuning == FrozenTuning()
