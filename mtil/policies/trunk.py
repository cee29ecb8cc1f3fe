"""Observation features and z -> features for the head.

Legend: B batch, F observation features, Z width of z, W width of the trunk.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.film import FiLM
from mtil.policies.config import MLPTrunkConfig


class MLPTrunk(nn.Module):
    """A multilayer perceptron conditioned on z: by concatenation at its input, or by FiLM in every layer.

    Args:
        config: Width, depth, conditioning.
        features: F.
        condition: Z.
    """

    def __init__(self, config: MLPTrunkConfig, *, features: int, condition: int) -> None:
        super().__init__()
        self.width = config.width
        film = config.conditioning == "film"
        first = features if film else features + condition
        self._concatenate = not film
        self.layers = nn.ModuleList(
            _Layer(first if i == 0 else config.width, config, condition=condition if film else None)
            for i in range(config.depth)
        )

    def forward(self, features: Float[Tensor, "B F"], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        hidden = torch.cat([features, z], dim=1) if self._concatenate else features
        for layer in self.layers:
            hidden = layer(hidden, z)
        return hidden


class _Layer(nn.Module):
    """Linear, optional layer norm, optional FiLM, activation, dropout."""

    def __init__(self, features: int, config: MLPTrunkConfig, *, condition: int | None) -> None:
        super().__init__()
        self.linear = nn.Linear(features, config.width)
        self.norm = nn.LayerNorm(config.width) if config.layer_norm else nn.Identity()
        self.film = None if condition is None else FiLM(condition, config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, features: Float[Tensor, "B F"], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        hidden = self.norm(self.linear(features))
        if self.film is not None:
            hidden = self.film(hidden, z)
        return self.dropout(nn.functional.relu(hidden))
