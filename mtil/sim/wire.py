"""What goes between processes: equal arrays of many slots as one, since each by itself costs as much as all of them."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mtil.sim.slot import Command, Reset, Transition

Stacks = Sequence[tuple[Sequence[int], np.ndarray]]
"""Arrays by slot: slots whose arrays have the same shape and type, and these stacked."""


@dataclass(frozen=True)
class PackedCommands:
    """Commands by slot, on their way."""

    resets: Mapping[int, Reset]
    actions: Stacks


@dataclass(frozen=True)
class PackedTransitions:
    """Transitions by slot, on their way."""

    observations: Mapping[str, Stacks]
    rest: Mapping[int, tuple[int, bool, bool]]


def pack_commands(commands: Mapping[int, Command]) -> PackedCommands:
    resets = {slot: command for slot, command in commands.items() if isinstance(command, Reset)}
    actions = {slot: command for slot, command in commands.items() if not isinstance(command, Reset)}
    return PackedCommands(resets, _stacks(actions))


def unpack_commands(packed: PackedCommands) -> dict[int, Command]:
    return {**packed.resets, **_by_slot(packed.actions)}


def pack_transitions(transitions: Mapping[int, Transition]) -> PackedTransitions:
    seen: dict[str, dict[int, np.ndarray]] = defaultdict(dict)
    for slot, transition in transitions.items():
        for key, value in transition.observation.items():
            seen[key][slot] = value
    rest = {slot: (each.steps, each.success, each.done) for slot, each in transitions.items()}
    return PackedTransitions({key: _stacks(values) for key, values in seen.items()}, rest)


def unpack_transitions(packed: PackedTransitions) -> dict[int, Transition]:
    observations: dict[int, dict[str, np.ndarray]] = {slot: {} for slot in packed.rest}
    for key, stacks in packed.observations.items():
        for slot, value in _by_slot(stacks).items():
            observations[slot][key] = value
    return {slot: Transition(observations[slot], *rest) for slot, rest in packed.rest.items()}


def _stacks(arrays: Mapping[int, np.ndarray]) -> Stacks:
    groups: dict[Any, dict[int, np.ndarray]] = defaultdict(dict)
    for slot, array in arrays.items():
        groups[array.shape, array.dtype][slot] = array
    return [(list(group), np.stack(list(group.values()))) for group in groups.values()]


def _by_slot(stacks: Stacks) -> dict[int, np.ndarray]:
    return {slot: stacked[place, ...] for slots, stacked in stacks for place, slot in enumerate(slots)}
