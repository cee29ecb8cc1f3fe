"""What is packed comes out as it went in."""

import pickle
from pathlib import Path

import numpy as np

from mtil.sim.slot import Command, Reset, Transition
from mtil.sim.wire import (
    PackedCommands,
    PackedTransitions,
    pack_commands,
    pack_transitions,
    unpack_commands,
    unpack_transitions,
)


def sent(commands: dict[int, Command]) -> dict[int, Command]:
    packed = pickle.loads(pickle.dumps(pack_commands(commands)))
    assert isinstance(packed, PackedCommands)
    return unpack_commands(packed)


def answered(transitions: dict[int, Transition]) -> dict[int, Transition]:
    packed = pickle.loads(pickle.dumps(pack_transitions(transitions)))
    assert isinstance(packed, PackedTransitions)
    return unpack_transitions(packed)


def same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.dtype == right.dtype and left.shape == right.shape and bool((left == right).all())


def test_commands_of_several_kinds_and_widths() -> None:
    reset = Reset(task="a", placement=3, video=Path("film.mp4"))
    actions = {
        5: np.array([1, 2], "f4"),
        1: np.array([3, 4, 5], "f4"),
        7: np.array([6, 7], "f8"),
        9: np.array([8, 9], "f4"),
    }
    received = sent({2: reset, **actions})
    assert received.keys() == {2, *actions}
    assert received[2] == reset
    for slot, action in actions.items():
        found = received[slot]
        assert isinstance(found, np.ndarray)
        assert same(found, action)


def test_observations_that_differ_by_task() -> None:
    rng = np.random.default_rng(0)
    seen = {
        4: {"state": rng.normal(size=3).astype("f4"), "image": rng.integers(0, 256, (5, 4, 3), np.uint8)},
        0: {"state": rng.normal(size=2).astype("f4"), "level": np.array(0.5)},
        6: {"state": rng.normal(size=3).astype("f4"), "image": rng.integers(0, 256, (5, 4, 3), np.uint8)},
    }
    ends = {4: (7, True, True), 0: (8, False, True), 6: (9, False, False)}
    sent_off = {
        slot: Transition(seen[slot], steps=steps, success=success, done=done)
        for slot, (steps, success, done) in ends.items()
    }
    received = answered(sent_off)
    assert received.keys() == seen.keys()
    for slot, transition in received.items():
        assert (transition.steps, transition.success, transition.done) == ends[slot]
        assert transition.observation.keys() == seen[slot].keys()
        assert all(same(np.asarray(value), seen[slot][key]) for key, value in transition.observation.items())


def test_nothing() -> None:
    assert sent({}) == {}
    assert answered({}) == {}
