from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtil.errors import CheckpointError
from mtil.evaluation.comparison import compare, pooled
from mtil.evaluation.metrics import EvaluationResult, summary

Make = Callable[..., EvaluationResult]


def by_file(*results: EvaluationResult, name: str = "a") -> dict[Path, EvaluationResult]:
    return {Path(f"{name}-{index}.json"): result for index, result in enumerate(results)}


def test_one_seed_pooled_is_its_result(trained: Make) -> None:
    result = trained(seed=0)
    found = pooled([result])
    assert found.seeds == (pytest.approx(result.mean.rate),)
    for ours, theirs in zip((*found.tasks, found.mean), (*result.tasks, result.mean), strict=True):
        assert (ours.rate, ours.low, ours.high) == pytest.approx((theirs.rate, theirs.low, theirs.high))
    assert [(row.task, row.episodes, row.successes) for row in found.tasks] == [
        (row.task, row.episodes, row.successes) for row in result.tasks
    ]


def test_seeds_pooled_count_all_episodes_and_weigh_the_same(trained: Make) -> None:
    results = [trained(seed=seed, rate=rate) for seed, rate in enumerate((0.9, 0.6, 0.8))]
    found = pooled(results)
    assert found.mean.rate == pytest.approx(np.mean([result.mean.rate for result in results]))
    assert [row.successes for row in found.tasks] == [
        sum(result.tasks[index].successes for result in results) for index in range(len(found.tasks))
    ]
    assert found.mean.high - found.mean.low > 0.2  # three seeds so far apart say little about a fourth


def test_two_checkpoints_are_counted_pair_by_pair(trained: Make) -> None:
    a, b = trained(seed=0, rate=0.9), trained(seed=1, rate=0.6)
    found = compare(by_file(a), by_file(b, name="b"))
    only_a = sum(x.success and not y.success for x, y in zip(a.outcomes, b.outcomes, strict=True))
    only_b = sum(y.success and not x.success for x, y in zip(a.outcomes, b.outcomes, strict=True))
    assert found.discordance is not None
    assert (found.discordance.a_only, found.discordance.b_only) == (only_a, only_b)
    assert sum(row.discordance.a_only for row in found.tasks if row.discordance) == only_a
    assert found.mean.difference == pytest.approx(a.mean.rate - b.mean.rate)
    assert found.mean.low > 0
    assert all(row.adjusted_p >= row.difference.p for row in found.tasks)


def test_a_comparison_with_itself_is_all_zeros(trained: Make) -> None:
    side = by_file(trained(seed=0), trained(seed=1))
    found = compare(side, side)
    assert {row.difference.difference for row in found.tasks} == {found.mean.difference} == {0}
    assert {row.adjusted_p for row in found.tasks} == {found.mean.p} == {1}
    assert found.discordance is None


def test_unequal_numbers_of_seeds(trained: Make) -> None:
    found = compare(by_file(*(trained(seed=seed) for seed in range(3))), by_file(trained(seed=3, rate=0.5)))
    assert len(found.a.rates.seeds) == 3
    assert found.mean.low > 0
    assert found.discordance is None


def test_one_task_says_nothing_of_such_tasks(trained: Make) -> None:
    found = compare(by_file(trained(seed=0, tasks=["reach"])), by_file(trained(seed=1, tasks=["reach"])))
    assert (found.mean_of_such_tasks, found.a.rates.mean_of_such_tasks) == (None, None)


def changed(result: EvaluationResult, **protocol: Any) -> EvaluationResult:
    return replace(result, protocol=replace(result.protocol, **protocol))


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"suite": "mt50"}, "suite: toy and mt50"),
        ({"suite_digest": "1a2b"}, r"what toy said \(its digest\): None and 1a2b"),
        ({"seed": 7}, "seed: 0 and 7"),
        ({"horizon": 9}, "horizon: 20 and 9"),
        ({"success": "luck"}, "success rule: the point near the goal and luck"),
    ],
)
def test_what_was_measured_in_another_way_is_not_compared(trained: Make, protocol: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=rf"a-0\.json and b-0\.json: expected the same placements.*{message}"):
        compare(by_file(trained(seed=0)), by_file(changed(trained(seed=1), **protocol), name="b"))


def test_tasks_episodes_and_placements_must_agree(trained: Make) -> None:
    first = trained(seed=0)
    for other, message in (
        (trained(seed=1, tasks=["push", "reach"]), "tasks that the other lacks: door and none"),
        (trained(seed=1, episodes=10), "episodes a task: 30 and 10"),
        (
            summary(first.protocol, [replace(each, placement=each.placement + 1) for each in first.outcomes]),
            "episode 0 of push from placement: 0 and 1",
        ),
    ):
        with pytest.raises(CheckpointError, match=message):
            compare(by_file(first), by_file(other, name="b"))


@pytest.mark.parametrize(
    "protocol", [{"condition": "one_hot"}, {"control": "wrong"}, {"instructions": "other.yaml"}], ids=str
)
def test_sides_may_be_told_in_two_ways_but_not_seeds_of_one(trained: Make, protocol: dict) -> None:
    first, other = trained(seed=0), changed(trained(seed=1), **protocol)
    assert compare(by_file(first), by_file(other, name="b")).tasks
    ((name, value),) = protocol.items()
    with pytest.raises(CheckpointError, match=rf"a-0\.json and a-1\.json: not seeds of one training: {name} .*{value}"):
        compare(by_file(first, other), by_file(first, name="b"))


def test_one_policy_is_not_two_seeds(trained: Make) -> None:
    twice: Sequence[EvaluationResult] = [changed(trained(seed=seed), weights="abc") for seed in (0, 1)]
    with pytest.raises(CheckpointError, match=r"found the same weights"):
        pooled(twice)
