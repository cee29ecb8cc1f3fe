"""Pretrained networks as parts of a policy that are trained along, each in its own way."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mtil.encoders.tuning_config import FrozenTuning, LoRATuning, Tuning
from mtil.errors import EncoderError, unknown

_QUERIES_AND_VALUES = frozenset({"query", "value", "q_proj", "v_proj", "q_lin", "v_lin", "q", "v"})  # of all families
_LAYER = re.compile(r"(?:(?:^|\.)[a-z_]*(?:layer|stage|block|transition)_?|(?:^|(?<!\d)\.))(\d+)\.")
_BASE = ".base_layer."
_ADAPTER = ".lora_"


class TunedEncoder(nn.Module):
    """What holds a pretrained network, and trains it along or not. The network stays in evaluation mode, or it would
    drop features at random, and take statistics of batches.

    Attributes:
        network: The network.
        tuning: How it is trained.
    """

    network: Any
    tuning: Tuning

    def train(self, mode: bool = True) -> "TunedEncoder":
        super().train(mode)
        self.network.eval()
        return self


def tuned_encoders(module: nn.Module) -> Iterator[tuple[str, TunedEncoder]]:
    """The encoders in a module that hold a pretrained network, by name."""
    for name, part in module.named_modules():
        if isinstance(part, TunedEncoder):
            yield name, part


def tune(network: nn.Module, tuning: Tuning, *, features: Callable[[], Tensor], what: str) -> None:
    """Mark what of a network is trained; what its features do not depend on is not, whatever the tuning.

    (Several ranks wait for the gradient of every weight that is trained.)

    Args:
        network: Whose weights they are; LoRA adds some to it.
        tuning: How it is trained.
        features: Of the network, for any input.
        what: What to call the network.

    Raises:
        EncoderError: There are no layers of the names that LoRA is to be added to.
    """
    network.eval().requires_grad_(not isinstance(tuning, FrozenTuning))
    if isinstance(tuning, FrozenTuning):
        return
    names, weights = zip(*network.named_parameters(), strict=True)
    with torch.enable_grad():  # a policy may be loaded where nothing is trained
        gradients = torch.autograd.grad(features().sum(), weights, allow_unused=True)
    used = {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}
    if isinstance(tuning, LoRATuning):
        _add_adapters(network.requires_grad_(False), tuning, used, what)
    else:
        for name, weight in network.named_parameters():
            weight.requires_grad_(name in used)


def layers(network: nn.Module) -> dict[str, int]:
    """By name of a parameter, which layer it is of: 0 before all numbered ones, one more than these behind them."""
    numbers = {name: _LAYER.search(name) for name, _ in network.named_parameters()}
    found = {name: int(match[1]) for name, match in numbers.items() if match}
    first, last = min(found.values(), default=0), max(found.values(), default=0)
    depths, behind = {}, False
    for name in numbers:
        behind = behind or name in found
        depths[name] = found[name] - first + 1 if name in found else (last - first + 2) * behind
    return depths


def merged(module: nn.Module) -> dict[str, Tensor]:
    """The state of a module with what LoRA adds to its weights added, as if there had been no LoRA."""
    from peft.tuners.lora import LoraLayer

    state = {name.replace(_BASE, "."): t for name, t in module.state_dict().items() if _ADAPTER not in name}
    for name, layer in module.named_modules():
        if isinstance(layer, LoraLayer):
            added: Tensor = layer.get_delta_weight("default")  # type: ignore[attr-defined]
            state[f"{name}.weight"] = state[f"{name}.weight"] + added.detach()
    return state


def with_base_layers(state: Mapping[str, Tensor], module: nn.Module) -> dict[str, Tensor]:
    """A state of a module without LoRA under the names that the same weights have in one with it."""
    names = {name.replace(_BASE, "."): name for name in module.state_dict() if _BASE in name}
    return {names.get(name, name): tensor for name, tensor in state.items()}


def _add_adapters(network: nn.Module, tuning: LoRATuning, used: set[str], what: str) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    valid = [name for name, layer in network.named_modules() if _adaptable(layer) and f"{name}.weight" in used]
    targets = _own_targets(valid) if tuning.targets is None else _named(tuning.targets, valid, what)
    config = LoraConfig(r=tuning.rank, lora_alpha=tuning.alpha, target_modules=targets)  # type: ignore[arg-type]
    inject_adapter_in_model(config, network)


def _own_targets(valid: list[str]) -> list[str]:
    """The queries and values of attention; of a network that has none, all its layers."""
    return [name for name in valid if name.split(".")[-1] in _QUERIES_AND_VALUES] or valid


def _named(targets: tuple[str, ...], valid: list[str], what: str) -> list[str]:
    """The layers that have these names, or names that end so."""
    found = {target: [name for name in valid if f".{name}".endswith(f".{target}")] for target in targets}
    for target, names in found.items():
        if not names:
            ends = sorted({name.split(".")[-1] for name in valid})
            raise EncoderError(f"{what}: tuning.targets: {unknown('layer for LoRA', target, ends)}")
    return [name for names in found.values() for name in names]


def _adaptable(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1)
