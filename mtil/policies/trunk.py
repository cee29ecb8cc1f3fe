"""Observation features and z -> features for the head.

Legend: B batch, F observation features, Z width of z, W width of the trunk.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.film import FiLM
from mtil.policies.config import MLPTrunkConfig


class MLPTrunk(nn.Module):
    """A residual multilayer perceptron, normalised before each block (Xiong et al. 2020, arXiv:2002.04745).

    It is conditioned on z by concatenation at its input, or by FiLM in every block.

    Args:
        config: Width, depth, conditioning.
        features: F.
        condition: Z.
    """

    def __init__(self, config: MLPTrunkConfig, *, features: int, condition: int) -> None:
        super().__init__()
        self.width = config.width
        self._concatenate = config.conditioning == "concat"
        self.input = nn.Linear(features + condition if self._concatenate else features, config.width)
        self.blocks = nn.ModuleList(_Block(config, condition=condition) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, features: Float[Tensor, "B F"], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        hidden = self.input(torch.cat([features, z], dim=1) if self._concatenate else features)
        for block in self.blocks:
            hidden = block(hidden, z)
        return self.norm(hidden)


class _Block(nn.Module):
    """`x + W2 dropout(gelu(W1 film(norm(x), z)))`."""

    def __init__(self, config: MLPTrunkConfig, *, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.film = FiLM(condition, config.width) if config.conditioning == "film" else None
        self.layers = nn.Sequential(
            nn.Linear(config.width, config.width),
            nn.GELU(),
            nn.Dropout(config.dropout),
            nn.Linear(config.width, config.width),
        )

    def forward(self, features: Float[Tensor, "B W"], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        hidden = self.norm(features)
        if self.film is not None:
            hidden = self.film(hidden, z)
        return features + self.layers(hidden)
