"""What becomes of an earlier policy's normalisation where other data join its own.

Legend: A action dimensions, D dimensions, M embodiments.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from mtil.data.statistics import FeatureStatistics
from mtil.data.vocabulary import known_embodiments
from mtil.encoders.normalizer import Normalizer
from mtil.policies.heads import DiscretisedHead
from mtil.policies.policy import Policy
from mtil.types import DatasetSpec

Normalization = Literal["keep", "extend", "recompute"]
State = Mapping[str, Tensor]

RANGE = ("head.low", "head.high")  # of a head that needs one, in normalised units
_ACTION_UNITS = ("action_normalizer.shift", "action_normalizer.scale")


def normalizers_of(policy: Policy) -> dict[str, Normalizer]:
    """All normalisers of a policy by name."""
    return {name: module for name, module in policy.named_modules() if isinstance(module, Normalizer)}


def fitted(normalizers: Mapping[str, Normalizer], normalization: Normalization) -> dict[str, str]:
    """By name of what is fitted to the data instead of being taken over, how."""
    if normalization == "keep":
        return {}
    how = "fitted to these data" if normalization == "recompute" else "fitted to both data"
    return dict.fromkeys([*(f"{n}.{part}" for n in normalizers for part in ("shift", "scale")), *RANGE], how)


def rows_of(policy: Policy) -> set[str]:
    """Names of the shifts and scales that tell embodiments apart, a row each."""
    apart = [name for name, each in normalizers_of(policy).items() if each.shift.dim() == 2]
    return {f"{name}.{part}" for name in apart for part in ("shift", "scale")}


@torch.no_grad()
def carried(
    policy: Policy,
    state: State,
    before: DatasetSpec,
    *,
    normalization: Normalization,
    shown: Collection[str],
    own: Mapping[str, FeatureStatistics] | None,
) -> dict[str, Tensor]:
    """Shift and scale of all normalisers that tell embodiments apart, and the range of the head, which are set so.

    Embodiments are known by name. One that only the earlier policy knows keeps its own, and one that is new has those
    of its data, however those of both are normalised.

    Args:
        policy: Fitted to the data.
        state: The earlier policy's, under the names of now, or a part of it.
        before: What the earlier policy was made for.
        normalization: Of an embodiment that is in both.
        shown: Names of the tasks that there are demonstrations of.
        own: Statistics of each embodiment in the data.

    Returns:
        What the earlier policy has a say in.
    """
    now = [each.name for each in policy.spec.embodiments]
    has_data = [row for row, each in enumerate(policy.spec.embodiments) if set(each.tasks) & set(shown)]
    old = {row: now.index(each.name) for row, each in enumerate(known_embodiments(before)) if each.name in now}
    both = set(old.values()) & set(has_data)
    found: dict[str, Tensor] = {}
    for name, normalizer in normalizers_of(policy).items():
        shift, scale = state.get(f"{name}.shift"), state.get(f"{name}.scale")
        if normalizer.shift.dim() == 1 or shift is None or scale is None or not old:
            continue
        width = normalizer.shift.shape[1]
        shifts, scales = _rows(shift, width, 0.0), _rows(scale, width, 1.0)
        rows = {row: (shifts[earlier], scales[earlier]) for earlier, row in old.items()}
        if normalization == "extend":
            normalizer.extend(*_with(normalizer, {row: rows[row] for row in both}))
        kept = rows if normalization == "keep" else {row: rows[row] for row in rows if row not in both}
        shift, scale = _with(normalizer, kept)
        normalizer.shift.copy_(shift)
        normalizer.scale.copy_(scale)
        found |= {f"{name}.shift": shift, f"{name}.scale": scale}
    assert own is not None, "where there are embodiments, each has statistics"
    earlier = {row: number for number, row in old.items() if normalization != "recompute" or row not in both}
    data = [row for row in has_data if normalization != "keep" or row not in both]
    return found | _range(policy, state, own[policy.spec.action.key], earlier, data)


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


def _range(
    policy: Policy, state: State, actions: FeatureStatistics, earlier: Mapping[int, int], data: Sequence[int]
) -> dict[str, Tensor]:
    """The range of a head that has one, to hold what all embodiments do, each in units of its own.

    Args:
        policy: Its normalisers are what they are to be.
        state: The earlier policy's.
        actions: Statistics of each embodiment in the data.
        earlier: By row of an embodiment that is to do what the earlier policy did, the one that it had.
        data: Rows of the embodiments that are to do what the data do.
    """
    head, normalizer = policy.head, policy.action_normalizer
    low, high, shift, scale = (state.get(name) for name in (*RANGE, *_ACTION_UNITS))
    if not isinstance(head, DiscretisedHead) or shift is None or scale is None or low is None or high is None:
        return {}
    raw = [(row, actions.low[row], actions.high[row]) for row in data]
    for row, number in earlier.items():
        shifts, scales = _rows(shift, len(low), 0.0)[number], _rows(scale, len(low), 1.0)[number]
        raw.append((row, low * scales + shifts, high * scales + shifts))
    ends = [[(end - normalizer.shift[row]) / normalizer.scale[row] for end in pair] for row, *pair in raw]
    has = torch.stack([_dimensions(policy.spec, row) for row, *_ in raw])
    least, greatest = (torch.stack(end) for end in zip(*ends, strict=True))
    head.fit(
        least.masked_fill(~has, torch.inf).amin(0).where(has.any(0), head.low),
        greatest.masked_fill(~has, -torch.inf).amax(0).where(has.any(0), head.high),
    )
    return dict(zip(RANGE, (head.low.clone(), head.high.clone()), strict=True))


def _dimensions(spec: DatasetSpec, embodiment: int) -> Bool[Tensor, " A"]:
    """Those of an action that an embodiment has."""
    own = [spec.position(task) for task in spec.embodiments[embodiment].tasks]
    return torch.from_numpy(spec.valid(spec.action)[own].any(0))


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
