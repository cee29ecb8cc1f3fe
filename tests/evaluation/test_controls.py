import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.errors import ConfigError
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.controls import controlled, read_control


def told(tasks: int) -> dict[str, list[Descriptor]]:
    """Each told in two ways."""
    return {
        f"task {i}": [Descriptor(f"{i}, {way}", torch.tensor([float(i), way])) for way in (1, 2)] for i in range(tasks)
    }


@given(st.integers(2, 60), st.integers(0, 2**32))
def test_wrong_tells_every_task_as_another_and_each_once(tasks: int, seed: int) -> None:
    right = told(tasks)
    wrong = controlled(right, "wrong", seed=seed)
    assert list(wrong) == list(right)
    assert all(wrong[task] is not right[task] for task in right)
    assert sorted(each[0].words for each in wrong.values()) == sorted(each[0].words for each in right.values())
    assert controlled(right, "wrong", seed=seed) == wrong


def test_of_two_tasks_each_is_told_as_the_other() -> None:
    right = told(2)
    assert controlled(right, "wrong", seed=7) == {"task 0": right["task 1"], "task 1": right["task 0"]}


def test_the_seed_decides_which_is_told_as_which() -> None:
    ways = {tuple(each[0].words for each in controlled(told(10), "wrong", seed=seed).values()) for seed in range(5)}
    assert len(ways) == 5


def test_absent_tells_nothing() -> None:
    for each in controlled(told(3), "absent", seed=0).values():
        (descriptor,) = each
        assert descriptor.words == ""
        assert torch.equal(descriptor.z, torch.zeros(2))


def test_without_a_control_nothing_changes() -> None:
    right = told(1)
    assert controlled(right, None, seed=0) is right


def test_controls_that_do_not_exist_or_fit() -> None:
    assert [read_control(name) for name in ("wrong", "absent", None)] == ["wrong", "absent", None]
    with pytest.raises(ConfigError, match=r"unknown control 'wrnog'; did you mean 'wrong'.* valid: wrong, absent"):
        read_control("wrnog")
    with pytest.raises(ConfigError, match=r"control 'wrong': expected two tasks at least, .*; found 'task 0'"):
        controlled(told(1), "wrong", seed=0)
