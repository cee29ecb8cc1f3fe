from collections.abc import Callable
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
    clips = make_result(tasks=TASKS, won=(3, 1), condition="video", clips=3)
    goal = make_result(tasks=TASKS[1:], won=(4,), condition="goal")
    elsewhere = make_result(tasks=TASKS, won=(0, 0), condition="one_hot", seed=99)
    wrong = make_result(tasks=TASKS, won=(0, 0), condition="goal", control="wrong")
    run = read_run(make_run(results=dict(zip("abcde", (plain, clips, goal, elsewhere, wrong), strict=True))))
    assert run.result == plain
    found = kinds(subjects([run])[0])
    assert found is not None
    assert set(found.means) == {"by a sentence", "shown 3 clips", "given its goal"}
    assert next(iter(found.means)) == "by a sentence"
    assert {told: mean.rate for told, mean in found.means.items()} == {
        "by a sentence": 0.75,
        "shown 3 clips": 0.5,
        "given its goal": 1.0,
    }
    assert found.tasks["given its goal"] == 1
    assert [row.task for row in found.rows] == ["drawer-open"]
    assert {told: result.successes for told, result in found.rows[0].told.items()} == {
        "by a sentence": 2,
        "shown 3 clips": 1,
        "given its goal": 4,
    }


def test_of_several_seeds_all_are_told_alike(make_run: Callable[..., Path], make_result: Result) -> None:
    paths = []
    for seed in (0, 1):
        name = f"run-{seed}"
        shown = make_result(name, tasks=TASKS, won=(4, seed), condition="video", clips=1)
        results = {"a": make_result(name, tasks=TASKS, won=(4, 4)), "b": shown}
        results |= {} if seed else {"c": make_result(name, tasks=TASKS, won=(4, 4), condition="goal")}
        paths.append(make_run(name, seed=seed, results=results))
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
