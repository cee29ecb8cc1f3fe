from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.kinds import kinds, way
from mtil.report.run import read_run
from mtil.report.subject import subjects

TASKS = ("drawer-close", "drawer-open")
Result = Callable[..., EvaluationResult]


def test_a_policy_told_in_several_kinds(make_run: Callable[..., Path], make_result: Result) -> None:
    plain = make_result(tasks=TASKS, won=(4, 2))
    results = {
        "plain": plain,
        "clips": make_result(tasks=(*TASKS, "more"), won=(3, 1, 4), condition="video", clips=3),
        "some": make_result(tasks=TASKS[1:], won=(4,), condition="goal"),
        "elsewhere": make_result(tasks=TASKS, won=(0, 0), condition="one_hot", seed=99),
        "control": make_result(tasks=TASKS, won=(0, 0), condition="goal", control="wrong"),
    }
    run = read_run(make_run(results=results))
    found = kinds(subjects([replace(run, result=plain)])[0])
    assert found is not None
    assert {told: mean.rate for told, mean in found.means.items()} == {"by a sentence": 0.75, "shown 3 clips": 0.5}
    assert [(row.task, [each.successes for each in row.arms.values()]) for row in found.rows] == [
        ("drawer-close", [4, 3]),
        ("drawer-open", [2, 1]),
    ]


def test_of_several_seeds_all_are_told_alike(make_run: Callable[..., Path], make_result: Result) -> None:
    paths = []
    for seed in (0, 1):
        name = f"run-{seed}"
        plain, shown = (
            make_result(name, tasks=TASKS, won=won, **how)
            for won, how in (((4, 4), {}), ((4, seed), {"condition": "video", "clips": 1}))
        )
        goal = make_result(name, tasks=TASKS, won=(4, 4), condition="goal", episodes_per_task=4 + seed)
        paths.append(make_run(name, seed=seed, results={"plain": plain, "shown": shown, "goal": goal}))
    (subject,) = subjects([read_run(path) for path in paths])
    found = kinds(subject)
    assert found is not None
    assert {told: mean.rate for told, mean in found.means.items()} == {"by a sentence": 1.0, "shown a clip": 0.5625}


def test_told_in_one_kind_alone(make_run: Callable[..., Path]) -> None:
    assert kinds(subjects([read_run(make_run())])[0]) is None


@pytest.mark.parametrize(
    ("protocol", "words"),
    [
        ({"condition": "one_hot"}, "by name"),
        ({"condition": "video", "clips": 2, "videos": "others"}, "shown 2 clips of others"),
        ({"condition": "none"}, "none"),
    ],
)
def test_ways(make_result: Result, protocol: dict[str, object], words: str) -> None:
    assert way(make_result(**protocol).protocol) == words
