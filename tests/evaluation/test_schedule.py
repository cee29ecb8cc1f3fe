from collections import Counter
from collections.abc import Mapping

import pytest
import torch

from mtil.evaluation.schedule import Schedule, Trial


def schedule(episodes: Mapping[str, int]) -> Schedule:
    z = torch.zeros(1)
    return Schedule(
        Trial(task=task, episode=episode, placement=0, told="", z=z)
        for task, count in episodes.items()
        for episode in range(count)
    )


@pytest.mark.parametrize("slots", [1, 3, 20])
def test_every_trial_is_given_out_once(slots: int) -> None:
    waiting = schedule({"a": 5, "b": 1, "c": 7})
    given: Counter[tuple[str, int]] = Counter()
    for turn in range(20 * slots):
        if (trial := waiting.next(turn % slots)) is not None:
            given[trial.task, trial.episode] += 1
    assert len(given) == given.total() == 13


def test_slots_begin_with_different_tasks_and_stay() -> None:
    waiting = schedule({"a": 4, "b": 4, "c": 4})
    for episode in range(4):
        trials = [waiting.next(slot) for slot in range(3)]
        assert [(t.task, t.episode) for t in trials if t] == [("a", episode), ("b", episode), ("c", episode)]


def test_a_slot_whose_task_is_over_goes_where_most_wait() -> None:
    waiting = schedule({"short": 1, "long": 9, "longer": 20})
    for slot in range(3):
        waiting.next(slot)
    next_tasks = [trial and trial.task for trial in (waiting.next(slot) for slot in range(3))]
    assert sorted(task for task in next_tasks if task) == ["long", "longer", "longer"]


def test_no_slot_moves_for_a_single_trial() -> None:
    waiting = schedule({"a": 2, "b": 1})
    assert [t and t.task for t in (waiting.next(0), waiting.next(1), waiting.next(1), waiting.next(0))] == [
        "a",
        "b",
        None,
        "a",
    ]
