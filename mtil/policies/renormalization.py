"""What becomes of an earlier policy's normalisation where other data join its own.

Legend: D dimensions, M embodiments.
"""

from collections.abc import Collection, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.normalizer import Normalizer
from mtil.policies.heads import DiscretisedHead
from mtil.policies.policy import Policy
from mtil.types import EARLIER, DatasetSpec

Normalization = Literal["keep", "extend", "recompute"]
State = Mapping[str, Tensor]

RANGE = ("head.low", "head.high")  # of a head that needs one, in normalised units


def normalizers_of(policy: Policy) -> dict[str, Normalizer]:
    """All normalisers of a policy by name."""
    return {name: module for name, module in policy.named_modules() if isinstance(module, Normalizer)}


def fitted(normalizers: Mapping[str, Normalizer], normalization: Normalization) -> dict[str, str]:
    """By name of what is fitted to the data instead of being taken over, how."""
    if normalization == "keep":
        return {}
    how = "fitted to these data" if normalization == "recompute" else "fitted to both data"
    return dict.fromkeys([*(f"{n}.{part}" for n in normalizers for part in ("shift", "scale")), *RANGE], how)


@torch.no_grad()
def carried(
    policy: Policy, state: State, before: DatasetSpec, *, normalization: Normalization, shown: Collection[str]
) -> dict[str, Tensor]:
    """Shift and scale of all normalisers that tell embodiments apart, and the range of the head, which are set so.

    An embodiment that only the earlier policy knows keeps its own, and one that is new has those of its data, however
    those of both are normalised.

    Args:
        policy: Fitted to the data; its embodiments hold the earlier one's.
        state: The earlier policy's, under the names of now.
        before: What the earlier policy was made for.
        normalization: Of an embodiment that is in both.
        shown: Names of the tasks that there are demonstrations of.
    """
    now = {each.name: row for row, each in enumerate(policy.spec.embodiments)}
    has_data = [each.name for each in policy.spec.embodiments if set(each.tasks) & set(shown)]
    earlier = [each.name for each in before.embodiments] or [EARLIER]
    found = {}
    for name, normalizer in normalizers_of(policy).items():
        shift, scale = state.get(f"{name}.shift"), state.get(f"{name}.scale")
        if normalizer.shift.dim() == 1 or shift is None or scale is None:
            continue
        width = normalizer.shift.shape[1]
        rows = zip(earlier, _rows(shift, width, 0.0), _rows(scale, width, 1.0), strict=True)
        old = {now[each]: (shift, scale) for each, shift, scale in rows}
        both = [row for row in old if list(now)[row] in has_data]
        if normalization == "extend":
            normalizer.extend(*_with(normalizer, {row: old[row] for row in both}))
        kept = old if normalization == "keep" else {row: old[row] for row in old if row not in both}
        shift, scale = _with(normalizer, kept)
        normalizer.shift.copy_(shift)
        normalizer.scale.copy_(scale)
        found |= {f"{name}.shift": shift, f"{name}.scale": scale}
    return found | _widened(policy, state)


@torch.no_grad()
def extend(policy: Policy, state: State, source: Policy, statistics: Mapping[str, FeatureStatistics]) -> None:
    """Let all normalisers that are of all embodiments, and the range of the head, take in the earlier policy's data."""
    for name, normalizer in normalizers_of(policy).items():
        shift, scale = state.get(f"{name}.shift"), state.get(f"{name}.scale")
        whole = normalizer.shift.dim() == 1
        if whole and shift is not None and scale is not None and shift.shape == normalizer.shift.shape:
            normalizer.extend(shift, scale)
    if policy.spec.embodiments:
        return
    actions, earlier = statistics[policy.spec.action.key], source.head
    low, high = actions.low, actions.high
    if RANGE[0] in state and isinstance(earlier, DiscretisedHead) and earlier.low.shape == low.shape:
        low = torch.minimum(low, source.action_normalizer.inverse(earlier.low))
        high = torch.maximum(high, source.action_normalizer.inverse(earlier.high))
    policy.fit_range(low, high)


def _widened(policy: Policy, state: State) -> dict[str, Tensor]:
    """The range of the head, to hold what all embodiments do, each in units of its own."""
    low, high = (state.get(name) for name in RANGE)
    head = policy.head
    if not isinstance(head, DiscretisedHead) or low is None or high is None or low.shape != head.low.shape:
        return {}
    head.fit(torch.minimum(low, head.low), torch.maximum(high, head.high))
    return dict(zip(RANGE, (head.low.clone(), head.high.clone()), strict=True))


def _rows(values: Float[Tensor, "*M _"], width: int, padding: float) -> Float[Tensor, "M D"]:
    """One row an embodiment, as wide as they are now."""
    rows = values.reshape(-1, values.shape[-1])
    return F.pad(rows, (0, width - rows.shape[1]), value=padding)


def _with(
    normalizer: Normalizer, rows: Mapping[int, tuple[Float[Tensor, " D"], Float[Tensor, " D"]]]
) -> tuple[Float[Tensor, "M D"], Float[Tensor, "M D"]]:
    """Shift and scale of a normaliser with other rows."""
    shift, scale = normalizer.shift.clone(), normalizer.scale.clone()
    for row, (own_shift, own_scale) in rows.items():
        shift[row], scale[row] = own_shift, own_scale
    return shift, scale
