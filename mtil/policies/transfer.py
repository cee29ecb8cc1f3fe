"""A policy that starts from an earlier one's weights: for more tasks, for other features, with other parts.

Nothing happens silently: what was taken over, what is new and why, and what was not used is all told.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import encoder_parts
from mtil.encoders.tuning import merged, with_base_layers
from mtil.encoders.vision import part_of
from mtil.policies.config import PolicyConfig
from mtil.policies.parts import matching
from mtil.policies.policy import TASKS, Policy
from mtil.policies.renormalization import Normalization, normalizers_of, renormalized
from mtil.types import DatasetSpec, FeatureSpec

State = Mapping[str, Tensor]

_CAMERAS = "observation_encoder.cameras."


@dataclass(frozen=True)
class Transfer:
    """What became of an earlier policy's weights.

    Attributes:
        policy: The new policy.
        taken: Names of what it has of the earlier one, or a part of which it has.
        new: By name of what it has not, or of which a part is new, why.
        unused: Names of what the earlier one had, and it has not.
        partly: By name of what is in both, how many numbers it has of the earlier one.
    """

    policy: Policy
    taken: tuple[str, ...]
    new: Mapping[str, str]
    unused: tuple[str, ...]
    partly: Mapping[str, int]


def transfer(
    source: Policy,
    config: PolicyConfig,
    spec: DatasetSpec,
    statistics: Mapping[str, FeatureStatistics],
    *,
    own: Mapping[str, FeatureStatistics] | None = None,
    shown: Collection[str],
    normalization: Normalization = "keep",
    parts: Sequence[str] | None = None,
) -> Transfer:
    """A policy with everything of an earlier one that fits.

    Weights fit where they have the same name, shape and meaning: those that depend on which features there are, and on
    their order, do not where these are others. Numbers are normalised as the earlier policy did (`keep`), over its data
    and the new, weighing the same (`extend`), or over the new data alone (`recompute`); this decides where both have
    data of an embodiment and dimension.

    Args:
        source: The earlier policy.
        config: Architecture of the new one.
        spec: What the data decide of it; its vocabulary holds the earlier one's.
        statistics: Of the data.
        own: Of each embodiment in the data, where there are several.
        shown: Names of the tasks that there are demonstrations of.
        normalization: Of states, actions and goals.
        parts: Patterns of the names of what is to be taken over, where that is not everything.

    Raises:
        ConfigError: The configuration does not fit the observations, or a pattern matches nothing.
        EncoderError: A pretrained model that the earlier policy lacks is missing, or is none.
    """
    replaced = dict(_replaced(source, config, spec))
    state, unused = _fitting(source, spec, tuple(replaced))
    asked = state if parts is None else matching(state, parts, option="start.parts")
    left = [name for name in state if name not in asked]
    state = {name: tensor for name, tensor in state.items() if name in asked}
    policy = Policy(config, spec, state=state, before=source.spec)
    policy.fit(statistics, own)
    state = with_base_layers(_inherited(policy, state, source.spec), policy)
    units = [f"{name}.{part}" for name in normalizers_of(policy) for part in ("shift", "scale")]
    actions = (own or statistics)[spec.action.key]
    numbers = renormalized(
        policy, state, source, joined=parts is None, normalization=normalization, shown=shown, actions=actions
    )
    given = {name: tensor for name, tensor in state.items() if name not in units}
    given |= {name: each.values for name, each in numbers.items()}
    mine, taken, new, partly = policy.state_dict(), {}, {}, {}
    for name, tensor in mine.items():
        why = "not asked for" if name in left else _why_new(name, tensor, given, replaced)
        if why is None and name in numbers and numbers[name].taken < tensor.numel():
            why, partly[name] = numbers[name].why, numbers[name].taken
        if why is None and name.startswith(f"{TASKS}one_hot.") and (joining := _joining(source.spec, spec)):
            why, partly[name] = "tasks that are new", tensor.numel() * (len(spec.tasks) - joining) // len(spec.tasks)
        if why is None or partly.get(name):
            taken[name] = given[name]
        if why is not None:
            new[name] = why
    policy.load_state_dict({**mine, **taken})
    gone = (*unused, *left, *(name for name in state if name not in mine))
    return Transfer(policy, tuple(taken), new, gone, {name: count for name, count in partly.items() if count})


def _replaced(source: Policy, config: PolicyConfig, spec: DatasetSpec) -> Iterator[tuple[str, str]]:
    """Beginnings of the names of what means something else than it did, and why."""
    before, old = source.spec, source.config
    parts = encoder_parts(old.task_encoder)
    for kind, part in encoder_parts(config.task_encoder).items():
        if kind in parts and _network(parts[kind]) != _network(part):
            yield f"{TASKS}{kind}.", f"another encoder of {kind}"
    seen = bool(_keys(spec, "image")) and _network(old.image_encoder) != _network(config.image_encoder)
    if seen:
        yield _CAMERAS, "another image encoder"
    if _keys(before, "image") != _keys(spec, "image"):
        yield f"{_CAMERAS}offsets.", "other cameras"
    for name in ("trunk", "head"):
        if getattr(old, name).kind != getattr(config, name).kind:
            yield f"{name}.", f"another {name}"
    were, are = (f"{c.chunk} x {s.action.shape[0]}" for c, s in ((old, before), (config, spec)))
    if were != are:
        yield "head.", f"{are} actions, where there were {were}"
    if seen or (old.history, old.points, _layout(before)) != (config.history, config.points, _layout(spec)):
        for name in source.trunk.entrance:
            yield f"trunk.{name}", "other observations"
        yield "readout.layers.", "other observations"


def _fitting(source: Policy, spec: DatasetSpec, replaced: tuple[str, ...]) -> tuple[dict[str, Tensor], list[str]]:
    """The earlier policy's state under the names of now, and the names of what has none, or means something else."""
    moves, state, unused = dict(_moves(source.spec, spec)), {}, []
    if source.config.image_encoder.shared:
        moves = {name: now for name, now in moves.items() if not name.startswith(_CAMERAS)}
    for name, tensor in merged(source).items():
        start = next((start for start in moves if name.startswith(start)), "")
        now = moves.get(start, start)
        moved = None if now is None else now + name.removeprefix(start)
        if moved is None or moved.startswith(replaced):
            unused.append(name)
        else:
            state[moved] = tensor
    return state, unused


def _moves(before: DatasetSpec, now: DatasetSpec) -> Iterator[tuple[str, str | None]]:
    """Beginnings of names that tell features by their number, and what they begin with now, if the feature is there."""
    numbered = {
        "observation_encoder.state.normalizers.": (_keys(before, "state"), _keys(now, "state")),
        f"{_CAMERAS}encoders.": (_keys(before, "image"), _keys(now, "image")),
        f"{TASKS}goal.states.normalizers.": ([f.key for f in before.goal], [f.key for f in now.goal]),
        "readout.normalizers.": ([f.key for f in before.targets], [f.key for f in now.targets]),
    }
    for start, (old, new) in numbered.items():
        for number, key in enumerate(old):
            yield f"{start}{number}.", f"{start}{new.index(key)}." if key in new else None


def _inherited(policy: Policy, state: State, before: DatasetSpec) -> dict[str, Tensor]:
    """The state with each task encoder's made to fit its vocabulary."""
    found = dict(state)
    for kind in policy.kinds:
        part = part_of(state, f"{TASKS}{kind}.")
        if part is not None:
            own = policy.task_encoders[kind].inherit(part, before)
            found |= {f"{TASKS}{kind}.{name}": tensor for name, tensor in own.items()}
    return found


def _joining(before: DatasetSpec, now: DatasetSpec) -> int:
    """How many tasks are new."""
    return len(set(now.task_names) - set(before.task_names))


def _why_new(name: str, tensor: Tensor, state: State, replaced: Mapping[str, str]) -> str | None:
    """Why a tensor is not taken over, if so."""
    for start, why in replaced.items():
        if name.startswith(start):
            return why
    if name not in state:
        return "the policy had none"
    before, now = (" x ".join(map(str, each.shape)) or "1" for each in (state[name], tensor))
    return None if state[name].shape == tensor.shape else f"{now}, where there were {before}"


def _network(config: Any) -> tuple[object, ...]:
    """What two configurations of an encoder agree in, if weights of one mean something to the other."""
    backbone = getattr(config, "backbone", None)
    own = (getattr(config, name, None) for name in ("kind", "model", "depth", "shared"))
    return (*own, None if backbone is None else _network(backbone))


def _keys(spec: DatasetSpec, kind: str) -> list[str]:
    return [feature.key for feature in spec.observations if feature.kind == kind]


def _layout(spec: DatasetSpec) -> list[tuple[object, ...]]:
    """What the streams of features are made of; images of any size give as many features."""

    def width(feature: FeatureSpec) -> Sequence[int]:
        return feature.shape if feature.kind == "state" else ()

    return [(feature.key, *width(feature)) for feature in spec.observations]
