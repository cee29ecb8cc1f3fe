"""Streams of observation features and z -> features for the head.

Legend: B batch, H history, F features of a stream, Z width of z, W width of the trunk, L tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from mtil.encoders.film import FiLM
from mtil.policies.config import MLPTrunkConfig, TransformerTrunkConfig, TrunkConfig


class Trunk(nn.Module, ABC):
    """Streams and z become features.

    Attributes:
        width: W.
        blocks: What it is stacked of.
        entrance: Beginnings of the names of its weights that depend on which streams there are, and on their order.
    """

    entrance: tuple[str, ...]
    width: int
    blocks: nn.ModuleList

    @abstractmethod
    def forward(self, streams: Sequence[Float[Tensor, "B H _"]], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        """Features of a window."""


class MLPTrunk(Trunk):
    """A residual multilayer perceptron, normalised before each block (Xiong et al. 2020, arXiv:2002.04745).

    It is conditioned on z by concatenation at its input, or by FiLM in every block.

    Args:
        config: Width, depth, conditioning.
        streams: F of each stream.
        history: H.
        condition: Z.
    """

    entrance = ("input.",)

    def __init__(self, config: MLPTrunkConfig, *, streams: Sequence[int], history: int, condition: int) -> None:
        super().__init__()
        self.width = config.width
        self._concatenate = config.conditioning == "concat"
        features = history * sum(streams)
        self.input = nn.Linear(features + condition if self._concatenate else features, config.width)
        self.blocks = nn.ModuleList(_Block(config, condition=condition) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, streams: Sequence[Float[Tensor, "B H _"]], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        flat = [stream.flatten(1) for stream in streams]
        hidden = self.input(torch.cat([*flat, z] if self._concatenate else flat, dim=1))
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


class TransformerTrunk(Trunk):
    """A causal transformer over time, normalised before each layer: z, then a token of each stream for every time step.

    A token attends to those of its own and earlier steps, and to z, which attends to itself alone. What the head gets
    is made of a learned query, put after the last step.

    Args:
        config: Width, depth, heads.
        streams: F of each stream.
        history: H.
        condition: Z.
    """

    entrance = ("inputs.", "stream", "time")
    causal: Bool[Tensor, "L L"]

    def __init__(self, config: TransformerTrunkConfig, *, streams: Sequence[int], history: int, condition: int) -> None:
        super().__init__()
        self.width = config.width
        self.condition = nn.Linear(condition, config.width)
        self.inputs = nn.ModuleList(nn.Linear(features, config.width) for features in streams)
        self.stream = nn.Parameter(0.02 * torch.randn(len(streams), config.width))
        self.time = nn.Parameter(0.02 * torch.randn(history, config.width))
        self.query = nn.Parameter(0.02 * torch.randn(config.width))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(_AttentionBlock(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        steps = torch.arange(history).repeat_interleave(len(streams))
        step = F.pad(F.pad(steps, (1, 0), value=-1), (0, 1), value=history)  # z before all, the query after
        self.register_buffer("causal", step.unsqueeze(0) <= step.unsqueeze(1), persistent=False)

    def forward(self, streams: Sequence[Float[Tensor, "B H _"]], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B W"]:
        return self.norm(self.tokens(streams, z)[:, -1])

    def tokens(self, streams: Sequence[Float[Tensor, "B H _"]], z: Float[Tensor, "B Z"]) -> Float[Tensor, "B L W"]:
        """What the blocks make of z, of the streams of each time step in turn, and of the query."""
        projected = [layer(stream) for layer, stream in zip(self.inputs, streams, strict=True)]
        steps = torch.stack(projected, dim=2) + self.stream + self.time.unsqueeze(1)
        query = self.query.expand(len(z), 1, -1)
        hidden = self.dropout(torch.cat([self.condition(z).unsqueeze(1), steps.flatten(1, 2), query], dim=1))
        for block in self.blocks:
            hidden = block(hidden, self.causal)
        return hidden


class _AttentionBlock(nn.Module):
    """Attention, then `W2 gelu(W1 x)` with four times the features in between; each adds to its input."""

    def __init__(self, config: TransformerTrunkConfig) -> None:
        super().__init__()
        width = config.width
        self._heads, self._dropout = config.heads, config.dropout
        self.attention_norm, self.norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections, self.output = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.layers = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, hidden: Float[Tensor, "B L W"], mask: Bool[Tensor, "L L"]) -> Float[Tensor, "B L W"]:
        projected = self.projections(self.attention_norm(hidden)).unflatten(-1, (3, self._heads, -1))
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        dropout = self._dropout if self.training else 0.0
        found = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
        hidden = hidden + self.dropout(self.output(found.transpose(1, 2).flatten(2)))
        return hidden + self.dropout(self.layers(self.norm(hidden)))


def build_trunk(config: TrunkConfig, *, streams: Sequence[int], history: int, condition: int) -> Trunk:
    """The trunk that a configuration describes.

    Args:
        config: Which trunk.
        streams: F of each stream.
        history: H.
        condition: Z.
    """
    match config:
        case MLPTrunkConfig():
            return MLPTrunk(config, streams=streams, history=history, condition=condition)
        case TransformerTrunkConfig():
            return TransformerTrunk(config, streams=streams, history=history, condition=condition)
        case _:
            assert_never(config)
