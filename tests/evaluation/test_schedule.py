from collections import Counter
from collections.abc import Iterable, Mapping

import pytest
import torch

from mtil.evaluation.schedule import WORTH_COMPILING, Schedule, Trial


def schedule(episodes: Mapping[str, int], *, workers: int = 1) -> Schedule:
    z = torch.zeros(1)
    trials = (
        Trial(task=task, episode=episode, placement=0, told="", z=z)
        for task, count in episodes.items()
        for episode in range(count)
    )
    return Schedule(trials, workers=workers)


def given(waiting: Schedule, slots: Iterable[int]) -> list[str | None]:
    """Tasks of the trials that slots get, one after another."""
    return [trial and trial.task for trial in map(waiting.next, slots)]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("slots", [1, 3, 20])
def test_every_trial_is_given_out_once(slots: int, workers: int) -> None:
    waiting = schedule({"a": 5, "b": 1, "c": 7}, workers=min(workers, slots))
    counts: Counter[tuple[str, int]] = Counter()
    for turn in range(20 * slots):
        if (trial := waiting.next(turn % slots)) is not None:
            counts[trial.task, trial.episode] += 1
    assert len(counts) == counts.total() == 13


@pytest.mark.parametrize("slots", [2, 8, 20])
def test_each_task_is_compiled_in_one_worker(slots: int) -> None:
    tasks = [f"task {position}" for position in range(10)]
    waiting = schedule(dict.fromkeys(tasks, 12), workers=2)
    order = [turn % slots for turn in range(200)]
    pairs = {(slot % 2, task) for slot, task in zip(order, given(waiting, order), strict=True) if task}
    assert sorted(task for _, task in pairs) == tasks


def test_slots_begin_with_different_tasks_and_stay() -> None:
    waiting = schedule({"a": 4, "b": 4, "c": 4})
    for episode in range(4):
        trials = [waiting.next(slot) for slot in range(3)]
        assert [(t.task, t.episode) for t in trials if t] == [("a", episode), ("b", episode), ("c", episode)]


def test_a_slot_whose_task_is_over_goes_where_most_wait() -> None:
    waiting = schedule({"short": 1, "long": 9, "longer": 20})
    assert given(waiting, range(3)) == ["longer", "long", "short"]
    assert given(waiting, range(3)) == ["longer", "long", "longer"]


def test_no_slot_moves_for_a_single_trial() -> None:
    waiting = schedule({"a": 2, "b": 1})
    assert given(waiting, [0, 1, 1, 0]) == ["a", "b", None, "a"]


def test_a_slot_helps_where_its_worker_has_been() -> None:
    assert given(schedule({"a": 20, "b": 40}, workers=1), range(3)) == ["b", "a", "b"]
    assert given(schedule({"a": 20, "b": 40}, workers=2), [1, 0, 2]) == ["b", "a", "a"]


@pytest.mark.parametrize(("episodes", "task"), [(WORTH_COMPILING, None), (WORTH_COMPILING + 1, "b")])
def test_a_worker_goes_to_anothers_task_only_for_many_trials(episodes: int, task: str | None) -> None:
    waiting = schedule({"a": 1, "b": episodes}, workers=2)
    assert given(waiting, [1, 0, 0]) == ["b", "a", task]
