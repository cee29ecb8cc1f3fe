"""Heads: features become a distribution over the action chunk.

Legend: B batch, F features, K chunk, A action dimensions; S independent blocks of the chunk with E entries each, C
mixture components, N bins.

Actions are in normalised units. Parameters and densities are float32 whatever the precision around them: bfloat16
would round actions to 1 part in 256.
"""

import math
from abc import ABC, abstractmethod
from typing import assert_never

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from mtil.policies.config import DiscretisedHeadConfig, GaussianHeadConfig, HeadConfig, MixtureHeadConfig

TAIL_MASS = 0.01  # of an edge bin's probability, spread beyond the edge
MODE_WINDOW = 1 / 8  # of a dimension's range
NARROWEST_RANGE = 0.01  # a dimension that hardly varies still gets bins of a width


class ActionDistribution(ABC):
    """A density over action chunks, proper on whichever entries are valid: there it integrates to 1."""

    def log_prob(self, actions: Float[Tensor, "B K A"], mask: Bool[Tensor, "B K A"]) -> Float[Tensor, " B"]:
        """Log-density of the valid entries, in nats.

        Args:
            actions: Normalised actions; what stands in an invalid entry does not matter.
            mask: False where time or dimension is padding: such an entry adds exactly 0 to the value and the gradient.
        """
        return self._log_prob(actions.float().masked_fill(~mask, 0.0), mask)

    @abstractmethod
    def _log_prob(self, actions: Float[Tensor, "B K A"], mask: Bool[Tensor, "B K A"]) -> Float[Tensor, " B"]:
        """`log_prob` of actions that are finite in every entry."""

    @property
    @abstractmethod
    def mode(self) -> Float[Tensor, "B K A"]:
        """The action to execute."""


class GaussianActions(ActionDistribution):
    """Every entry is an independent Gaussian; its mean is executed."""

    def __init__(self, distribution: Normal) -> None:
        self.distribution = distribution

    def _log_prob(self, actions: Float[Tensor, "B K A"], mask: Bool[Tensor, "B K A"]) -> Float[Tensor, " B"]:
        return self.distribution.log_prob(actions).where(mask, 0.0).sum((1, 2))

    @property
    def mode(self) -> Float[Tensor, "B K A"]:
        """The mean."""
        return self.distribution.mean


class MixtureActions(ActionDistribution):
    """Each of S blocks of the chunk is a mixture of Gaussians: the blocks are steps, or there is one, the whole chunk.

    Args:
        weights: Over the components, of shape `(B, S, C)`.
        components: Of shape `(B, S, C, E)`; the chunk `(B, K, A)` is read as `(B, S, E)`.
        actions: A.
    """

    def __init__(self, weights: Categorical, components: Normal, *, actions: int) -> None:
        self.distribution = MixtureSameFamily(weights, Independent(components, 1), validate_args=False)
        self._weights, self._components, self._actions = weights, components, actions

    def _log_prob(self, actions: Float[Tensor, "B K A"], mask: Bool[Tensor, "B K A"]) -> Float[Tensor, " B"]:
        batch, blocks, _, entries = self._components.mean.shape
        shape = (batch, blocks, 1, entries)
        each = self._components.log_prob(actions.reshape(shape)).where(mask.reshape(shape), 0.0).sum(-1)
        joint = (self._weights.logits + each).logsumexp(-1)
        # The weights sum to 1 but for rounding. Subtracting makes a block without valid entries contribute exactly 0.
        return (joint - self._weights.logits.logsumexp(-1)).sum(-1)

    @property
    def mode(self) -> Float[Tensor, "B K A"]:
        """The mean of the most probable component."""
        best = self._weights.logits.argmax(-1)[..., None, None]
        mean = self._components.mean.take_along_dim(best, 2)
        return mean.reshape(len(mean), -1, self._actions)


class DiscretisedActions(ActionDistribution):
    """Every entry is an independent histogram of N equal bins over `[low, high]`, uniform within a bin.

    Beyond the range the edge bin decays exponentially (at the scale of half the range, with 1% of that bin's mass), so
    that any action has a density and teaches the edge bin.

    Args:
        distribution: Over the bins, of shape `(B, K, A, N)`.
        low: Lower end of the range.
        high: Upper end of the range.
    """

    def __init__(self, distribution: Categorical, *, low: Float[Tensor, " A"], high: Float[Tensor, " A"]) -> None:
        self.distribution = distribution
        self._low, self._high = low, high

    def _log_prob(self, actions: Float[Tensor, "B K A"], mask: Bool[Tensor, "B K A"]) -> Float[Tensor, " B"]:
        bins = self.distribution.logits.shape[-1]
        width, scale = (self._high - self._low) / bins, (self._high - self._low) / 2
        index = ((actions - self._low) / width).floor().clamp(0, bins - 1).long()
        mass = self.distribution.logits.take_along_dim(index[..., None], -1).squeeze(-1)
        at_edge = (index == 0) | (index == bins - 1)
        inside = math.log1p(-TAIL_MASS) * at_edge - width.log()
        beyond = torch.maximum(self._low - actions, actions - self._high)
        outside = math.log(TAIL_MASS) - scale.log() - beyond / scale
        return (mass + torch.where(beyond > 0, outside, inside)).where(mask, 0.0).sum((1, 2))

    @property
    def mode(self) -> Float[Tensor, "B K A"]:
        """The mean within the most probable window of bins: finer than a bin, and not between two modes."""
        probs = self.distribution.probs.flatten(0, 1)
        bins = probs.shape[-1]
        window = max(1, round(bins * MODE_WINDOW))
        places = (torch.arange(bins, device=probs.device) + 0.5) / bins
        mass, moment = (F.avg_pool1d(x, window, stride=1) for x in (probs, probs * places))
        best = mass.argmax(-1, keepdim=True)
        place = (moment.take_along_dim(best, -1) / mass.take_along_dim(best, -1)).squeeze(-1)
        place = place.unflatten(0, self.distribution.logits.shape[:2])
        return torch.lerp(self._low, self._high, place)


class Projection(nn.Module):
    """The last layer: features to float32 parameters of a given shape."""

    def __init__(self, features: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self._linear = nn.Linear(features, math.prod(shape))
        self._shape = shape

    def forward(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B ..."]:
        """Parameters of shape `(B, *shape)`."""
        with torch.autocast(features.device.type, enabled=False):
            flat = F.linear(features.float(), self._linear.weight.float(), self._linear.bias.float())
        return flat.unflatten(-1, self._shape)


class Head(nn.Module, ABC):
    """Features become a distribution over the action chunk."""

    @abstractmethod
    def forward(self, features: Float[Tensor, "B F"]) -> ActionDistribution:
        """The distribution over chunks of shape `(B, K, A)`."""

    def fit(self, low: Float[Tensor, " A"], high: Float[Tensor, " A"]) -> None:
        """Fix the range of normalised actions in the training data, for a head that needs one."""


class GaussianHead(Head):
    """Mean and standard deviation of every entry."""

    def __init__(self, config: GaussianHeadConfig, *, features: int, chunk: int, actions: int) -> None:
        super().__init__()
        self._min_std = config.min_std
        self._spread_from_state = config.std == "state"
        self._projection = Projection(features, (2 if self._spread_from_state else 1, chunk, actions))
        self._spread = nn.Parameter(torch.zeros(chunk, actions)) if config.std == "global" else None

    def forward(self, features: Float[Tensor, "B F"]) -> GaussianActions:
        """The Gaussian of every entry."""
        mean, *spread = self._projection(features).unbind(1)
        raw = spread[0] if self._spread_from_state else self._spread
        std = self._min_std if raw is None else _std(raw.float(), self._min_std)
        return GaussianActions(Normal(mean, std, validate_args=False))


class MixtureHead(Head):
    """Weights, means and standard deviations of the components."""

    def __init__(self, config: MixtureHeadConfig, *, features: int, chunk: int, actions: int) -> None:
        super().__init__()
        self._min_std = config.min_std
        self._actions = actions
        blocks, self._entries = (chunk, actions) if config.over == "step" else (1, chunk * actions)
        self._projection = Projection(features, (blocks, config.components, 1 + 2 * self._entries))

    def forward(self, features: Float[Tensor, "B F"]) -> MixtureActions:
        """The mixture of every step, or of the chunk."""
        logits, mean, raw = self._projection(features).split([1, self._entries, self._entries], -1)
        return MixtureActions(
            Categorical(logits=logits.squeeze(-1), validate_args=False),
            Normal(mean, _std(raw, self._min_std), validate_args=False),
            actions=self._actions,
        )


class DiscretisedHead(Head):
    """Logits of the bins of every entry; the range of the bins is kept with the parameters."""

    low: Float[Tensor, " A"]
    high: Float[Tensor, " A"]

    def __init__(self, config: DiscretisedHeadConfig, *, features: int, chunk: int, actions: int) -> None:
        super().__init__()
        self.register_buffer("low", -torch.ones(actions))
        self.register_buffer("high", torch.ones(actions))
        self._projection = Projection(features, (chunk, actions, config.bins))

    def fit(self, low: Float[Tensor, " A"], high: Float[Tensor, " A"]) -> None:
        """Spread the bins over a range."""
        centre, half = (low + high) / 2, ((high - low) / 2).clamp(min=NARROWEST_RANGE / 2)
        self.low.copy_(centre - half)
        self.high.copy_(centre + half)

    def forward(self, features: Float[Tensor, "B F"]) -> DiscretisedActions:
        """The histogram of every entry."""
        bins = Categorical(logits=self._projection(features), validate_args=False)
        return DiscretisedActions(bins, low=self.low.float(), high=self.high.float())


def build_head(config: HeadConfig, *, features: int, chunk: int, actions: int) -> Head:
    """The head that a configuration describes.

    Args:
        config: Which head.
        features: F.
        chunk: K.
        actions: A.
    """
    match config:
        case GaussianHeadConfig():
            return GaussianHead(config, features=features, chunk=chunk, actions=actions)
        case MixtureHeadConfig():
            return MixtureHead(config, features=features, chunk=chunk, actions=actions)
        case DiscretisedHeadConfig():
            return DiscretisedHead(config, features=features, chunk=chunk, actions=actions)
        case _:
            assert_never(config)


def _std(raw: Float[Tensor, "..."], min_std: float) -> Float[Tensor, "..."]:
    return F.softplus(raw) + min_std
