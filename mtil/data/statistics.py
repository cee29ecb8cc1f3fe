"""What normalisation needs to know of a feature, dimension by dimension.

Legend: N rows, D dimensions, M embodiments, where each has statistics of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

QUANTILES = (0.01, 0.99)  # as OpenVLA takes them


@dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of each dimension over the rows that have it."""

    mean: Float[Tensor, "*M D"]
    std: Float[Tensor, "*M D"]
    low: Float[Tensor, "*M D"]
    high: Float[Tensor, "*M D"]
    q01: Float[Tensor, "*M D"]
    q99: Float[Tensor, "*M D"]


def stacked(each: Sequence[Mapping[str, FeatureStatistics]]) -> dict[str, FeatureStatistics]:
    """The statistics of several embodiments, by feature, as one."""

    def stack(key: str) -> FeatureStatistics:
        names = [field.name for field in fields(FeatureStatistics)]
        return FeatureStatistics(**{name: torch.stack([getattr(own[key], name) for own in each]) for name in names})

    return {key: stack(key) for key in each[0]}


def feature_statistics(values: Float[Tensor, "N D"], valid: Bool[Tensor, "N D"]) -> FeatureStatistics:
    """Statistics over the valid entries; a dimension without any is described as constantly zero."""
    if not len(values):
        return feature_statistics(values.new_zeros(1, values.shape[1]), valid.new_zeros(1, values.shape[1]))
    exact = values.double().masked_fill(~valid, torch.nan)
    q01, q99 = _quantiles(exact)
    found = {
        "mean": exact.nanmean(0),
        "std": (exact - exact.nanmean(0)).square().nanmean(0).sqrt(),
        "low": exact.nan_to_num(nan=torch.inf).amin(0),
        "high": exact.nan_to_num(nan=-torch.inf).amax(0),
        "q01": q01,
        "q99": q99,
    }
    return FeatureStatistics(**{k: v.nan_to_num(0.0, 0.0, 0.0).float() for k, v in found.items()})


def _quantiles(values: Float[Tensor, "N D"]) -> tuple[Float[Tensor, " D"], Float[Tensor, " D"]]:
    """Quantiles with linear interpolation, ignoring NaN. (`torch.nanquantile` refuses more than 16 million entries.)"""
    ordered = values.sort(0).values  # NaN sorts last
    count = (~values.isnan()).sum(0).clamp(min=1)

    def at(fraction: float) -> Float[Tensor, " D"]:
        position = fraction * (count - 1).double()
        below, share = position.floor().long(), position - position.floor()
        above = torch.minimum(below + 1, count - 1)
        return torch.lerp(ordered.gather(0, below[None]), ordered.gather(0, above[None]), share[None]).squeeze(0)

    return at(QUANTILES[0]), at(QUANTILES[1])
