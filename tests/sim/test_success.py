"""Rules of success, judged step by step."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from mtil.errors import SimulatorError
from mtil.sim.success import Judge, Rule

RULE = TypeAdapter(Rule)
Step = tuple[float, dict[str, Any]]


def verdicts(rule: dict[str, Any], steps: Sequence[Step], *, terminated: bool = False) -> list[bool]:
    """Of an episode with these rewards and infos, whose last step ends it."""
    judge = Judge(RULE.validate_python(rule))
    judge.begin()
    last = len(steps) - 1
    return [
        judge.judge(reward, info, terminated=terminated and at == last, over=at == last)
        for at, (reward, info) in enumerate(steps)
    ]


@pytest.mark.parametrize("true", [True, 1, 1.0, np.True_, np.float32(1), np.array([1])])
def test_what_the_info_holds_counts_where_it_is_true(true: Any) -> None:
    steps = [(0.0, {"done": value}) for value in (False, true, 0.0)]
    assert verdicts({"kind": "info", "key": "done"}, steps) == [False, True, False]


def test_a_number_counts_within_its_bounds() -> None:
    steps = [(0.0, {"distance": value}) for value in (0.0, 0.1, 0.3, 0.5, float("nan"))]
    rule = {"kind": "info", "key": "distance"}
    assert verdicts(rule | {"at_most": 0.3}, steps) == [True, True, True, False, False]
    assert verdicts(rule | {"at_least": 0.1, "at_most": 0.3}, steps) == [False, True, True, False, False]


def test_an_info_may_tell_at_the_end_alone_but_has_to_tell() -> None:
    rule = {"kind": "info", "key": "done"}
    assert verdicts(rule, [(0.0, {}), (0.0, {"done": True})]) == [False, True]
    assert verdicts(rule, [(0.0, {"done": False}), (0.0, {})]) == [False, False]
    with pytest.raises(SimulatorError, match="success: expected 'done' in the environment's info, found dnoe, x"):
        verdicts(rule, [(0.0, {}), (0.0, {"x": 1, "dnoe": True})])


@pytest.mark.parametrize("value", ["yes", None, np.zeros(3), {"a": 1}])
def test_an_info_that_neither_affirms_nor_denies(value: Any) -> None:
    with pytest.raises(SimulatorError, match="success: expected true, false or a number as info's 'done', found"):
        verdicts({"kind": "info", "key": "done"}, [(0.0, {"done": value})])


def test_a_reward_counts_at_its_step_and_a_return_at_the_end() -> None:
    steps = [(reward, {}) for reward in (-1.0, 2.0, 0.5)]
    assert verdicts({"kind": "reward", "at_least": 0.5}, steps) == [False, True, True]
    assert verdicts({"kind": "return", "at_least": 1.5}, steps) == [False, False, True]
    assert verdicts({"kind": "return", "at_least": 1.6}, steps) == [False, False, False]


def test_each_episode_has_a_return_of_its_own() -> None:
    judge = Judge(RULE.validate_python({"kind": "return", "at_least": 1.0}))
    for _ in range(2):
        judge.begin()
        assert not judge.judge(0.6, {}, terminated=False, over=True)


def test_a_termination_counts_and_a_truncation_does_not() -> None:
    steps: list[Step] = [(0.0, {}), (0.0, {})]
    assert verdicts({"kind": "terminated"}, steps, terminated=True) == [False, True]
    assert verdicts({"kind": "terminated"}, steps) == [False, False]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"kind": "info", "key": "done"}, "the environment's 'done' true at any step"),
        ({"kind": "info", "key": "x", "at_least": 1, "at_most": 2.5}, "'x' at least 1 and at most 2.5 at any step"),
        ({"kind": "reward", "at_least": -0.1}, "a reward of at least -0.1 at any step"),
        ({"kind": "return", "at_least": 90}, "rewards that sum up to at least 90 at the end of the episode"),
        ({"kind": "terminated"}, "the environment ending the episode by itself"),
    ],
)
def test_rules_are_told_in_words(rule: dict[str, Any], words: str) -> None:
    assert words in str(RULE.validate_python(rule))
