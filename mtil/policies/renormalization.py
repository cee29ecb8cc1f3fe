"""What becomes of an earlier policy's normalisation where other data join its own.

Legend: A action dimensions, D dimensions, M embodiments.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
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

_ACTIONS = "action_normalizer"
_FITTED = {"keep": "fitted to these data", "extend": "fitted to both data", "recompute": "fitted to these data"}


@dataclass(frozen=True)
class Renormalized:
    """What became of the shift or scale of a normaliser, or of an end of the head's range.

    Attributes:
        values: Now.
        taken: How many of them are the earlier policy's.
        why: The others are not.
    """

    values: Tensor
    taken: int
    why: str


def normalizers_of(policy: Policy) -> dict[str, Normalizer]:
    """All normalisers of a policy by name."""
    return {name: module for name, module in policy.named_modules() if isinstance(module, Normalizer)}


@torch.no_grad()
def renormalized(
    policy: Policy,
    state: State,
    source: Policy,
    *,
    joined: bool,
    normalization: Normalization,
    shown: Collection[str],
    actions: FeatureStatistics,
) -> dict[str, Renormalized]:
    """Set shift and scale of all normalisers, and the range of the head, to what they are where data join others.

    Embodiments are known by name. An embodiment or a dimension that only one side has data of is normalised by that
    side's, however those of both are.

    Args:
        policy: Fitted to the data.
        state: The earlier policy's, under the names of now, or a part of it.
        source: The earlier policy.
        joined: Whether the vocabulary holds the earlier one's; otherwise features of other sizes are others.
        normalization: Of what is in both.
        shown: Names of the tasks that there are demonstrations of.
        actions: Statistics of the data's, of each embodiment where there are several.

    Returns:
        By name, what the earlier policy has a say in.
    """
    found: dict[str, Renormalized] = {}
    sides = _Sides(policy.spec, source.spec, frozenset(shown), joined)
    for name, normalizer in normalizers_of(policy).items():
        old = sides.aligned(state, name, normalizer)
        if old is None:
            continue
        key = _key_of(name, policy.spec)
        had, has = sides.had(key, normalizer), sides.has(key, normalizer)
        kept = sides.knew(normalizer) & ~has | (had if normalization == "keep" else had & ~has)
        both = had & has & ~kept
        fresh = normalizer.shift.clone(), normalizer.scale.clone()
        if normalization == "extend":
            normalizer.extend(old[0].where(both, fresh[0]), old[1].where(both, fresh[1]))
        for part, earlier, new in zip(("shift", "scale"), old, fresh, strict=True):
            values: Tensor = getattr(normalizer, part)
            values.copy_(earlier.where(kept, values.where(both, new)))
            found[f"{name}.{part}"] = Renormalized(values.clone(), int(kept.sum()), _FITTED[normalization])
    return found | _range(policy, state, source.state_dict(), sides, actions, normalization)


@dataclass(frozen=True)
class _Sides:
    """Which data the earlier policy knows, and which there are now.

    Attributes:
        now: What the policy is made for.
        before: What the earlier one was.
        shown: Names of the tasks that there are demonstrations of.
        joined: Whether what the policy is made for holds what the earlier one was made for.
    """

    now: DatasetSpec
    before: DatasetSpec
    shown: frozenset[str]
    joined: bool

    def aligned(
        self, state: State, name: str, normalizer: Normalizer
    ) -> tuple[Float[Tensor, "*M D"], Float[Tensor, "*M D"]] | None:
        """The earlier shift and scale where they are now; None if there are none."""
        shift, scale = state.get(f"{name}.shift"), state.get(f"{name}.scale")
        apart = normalizer.shift.dim() == 2
        if shift is None or scale is None or (shift.dim() == 2 and not apart) or (apart and not self._known):
            return None
        width = normalizer.shift.shape[-1]
        if shift.shape[-1] != width and not self.joined:
            return None
        shifts, scales = _rows(shift, width, 0.0), _rows(scale, width, 1.0)
        if not apart:
            return shifts[0], scales[0]
        found = torch.zeros_like(normalizer.shift), torch.ones_like(normalizer.scale)
        for row, earlier in self._known.items():
            found[0][row], found[1][row] = shifts[earlier], scales[earlier]
        return found

    def knew(self, normalizer: Normalizer) -> Bool[Tensor, "*M 1"]:
        """Which embodiments the earlier policy knew, or that it knew all together."""
        if normalizer.shift.dim() == 1:
            return torch.tensor([True])
        return torch.tensor([[row in self._known] for row in range(len(normalizer.shift))])

    def had(self, key: str, normalizer: Normalizer) -> Bool[Tensor, "*M D"]:
        """Which dimensions the earlier policy had data of: of each embodiment, or of all together."""
        known = known_embodiments(self.before)
        own = {row: known[earlier].tasks for row, earlier in self._known.items()}
        return _dimensions(self.before, key, self.before.task_names, own, normalizer)

    def has(self, key: str, normalizer: Normalizer) -> Bool[Tensor, "*M D"]:
        """Which dimensions there are data of now."""
        own = {row: self.shown & {*each.tasks} for row, each in enumerate(self.now.embodiments)}
        return _dimensions(self.now, key, self.shown, own, normalizer)

    @property
    def _known(self) -> dict[int, int]:
        """By row of an embodiment that the earlier policy knows, the one that it had there."""
        known = [each.name for each in known_embodiments(self.before)]
        return {row: known.index(each.name) for row, each in enumerate(self.now.embodiments) if each.name in known}


def _range(
    policy: Policy,
    state: State,
    whole: State,
    sides: _Sides,
    actions: FeatureStatistics,
    normalization: Normalization,
) -> dict[str, Renormalized]:
    """The range of a head that has one, to hold what all embodiments do, each in units of its own as they are now."""
    head, normalizer = policy.head, policy.action_normalizer
    if not isinstance(head, DiscretisedHead):
        return {}
    low, high = state.get("head.low"), state.get("head.high")
    if low is not None and f"{_ACTIONS}.shift" not in state and normalization == "keep":
        return {}  # the head alone is taken over, with its range
    old, key = sides.aligned(whole, _ACTIONS, normalizer), policy.spec.action.key
    had, has = sides.had(key, normalizer), sides.has(key, normalizer)
    had &= torch.tensor(low is not None and old is not None)
    earlier = had & ~has if normalization == "recompute" else had
    data = has & ~had if normalization == "keep" else has
    ends = [(end - normalizer.shift) / normalizer.scale for end in (actions.low, actions.high)]
    reach = [end.where(data, sign * torch.inf) for sign, end in zip((1, -1), ends, strict=True)]
    if low is not None and high is not None and old is not None:
        same = (old[0] == normalizer.shift) & (old[1] == normalizer.scale)
        for which, (end, widest) in enumerate(zip((low, high), (torch.minimum, torch.maximum), strict=True)):
            moved = (end * old[1] + old[0] - normalizer.shift) / normalizer.scale
            reach[which] = widest(reach[which], end.where(same, moved).where(earlier, reach[which]))
    least, greatest = reach[0].reshape(-1, len(head.low)).amin(0), reach[1].reshape(-1, len(head.low)).amax(0)
    known = least <= greatest
    head.fit(least.where(known, head.low), greatest.where(known, head.high))
    if low is None or high is None:
        return {}
    kept = (least == low) & (greatest == high)
    head.low.copy_(low.where(kept, head.low))  # to the bit
    head.high.copy_(high.where(kept, head.high))
    taken = int((kept & ~(data & had).reshape(-1, len(low)).any(0)).sum())
    now = {"head.low": head.low, "head.high": head.high}
    return {name: Renormalized(end.clone(), taken, _FITTED[normalization]) for name, end in now.items()}


def _key_of(normalizer: str, spec: DatasetSpec) -> str:
    """Key of what a normaliser is for."""
    if normalizer == _ACTIONS:
        return spec.action.key
    features = spec.goal
    if normalizer.startswith("observation_encoder."):
        features = [feature for feature in spec.observations if feature.kind == "state"]
    elif normalizer.startswith("readout."):
        features = spec.targets
    return features[int(normalizer.rpartition(".")[2])].key


def _dimensions(
    spec: DatasetSpec,
    key: str,
    every: Iterable[str],
    own: Mapping[int, Iterable[str]],
    normalizer: Normalizer,
) -> Bool[Tensor, "*M D"]:
    """Which dimensions some of these tasks have: those of each embodiment's row, or any."""

    def widest(tasks: Iterable[str]) -> int:
        return max((spec.width(key, task) for task in tasks if key in spec.widths), default=0)

    dimension = torch.arange(normalizer.shift.shape[-1])
    if normalizer.shift.dim() == 1:
        return dimension < widest(every)
    return torch.stack([dimension < widest(own.get(row, ())) for row in range(len(normalizer.shift))])


def _rows(values: Float[Tensor, "*M _"], width: int, padding: float) -> Float[Tensor, "M D"]:
    """One row an embodiment, as wide as they are now."""
    rows = values.reshape(-1, values.shape[-1])
    return F.pad(rows, (0, width - rows.shape[1]), value=padding)
