from collections.abc import Callable
from pathlib import Path

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.controls import controls, object_of
from mtil.report.run import read_run
from mtil.report.subject import subjects

WRONG = "told another task"
TASKS = ("drawer-close", "drawer-open", "reach")


def test_means_are_of_the_tasks_that_all_arms_have(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    plain = make_result(tasks=TASKS, won=(4, 2, 3))
    wrong = make_result(tasks=TASKS[:2], won=(0, 1), control="wrong")
    untold = make_result("untold", tasks=TASKS, won=(4, 0, 4), condition="none")
    paths = [make_run(results={"a": plain, "b": wrong}), make_run("untold", kind="none", results={"a": untold})]
    told, other = subjects([read_run(path) for path in paths])
    found = controls(told, [other])
    assert found.arms == ["told its task", WRONG, "trained untold: untold"]
    assert [row.task for row in found.rows] == ["drawer-close", "drawer-open"]
    assert [found.episodes(arm) for arm in found.arms] == [8, 8, 8]
    assert [(group.title, list(group.means.values())) for group in found.groups] == [
        ("all of these tasks", [0.75, 0.125, 0.5]),
        ("tasks whose object another shares", [0.75, 0.125, 0.5]),
    ]
    assert [command.endswith("--control absent") for command in found.missing] == [True]


def test_without_controls_there_are_the_commands_that_make_them(make_run: Callable[..., Path]) -> None:
    path = make_run()
    found = controls(subjects([read_run(path)])[0], [])
    assert not found.rows
    assert [command.split()[-1] for command in found.missing] == ["wrong", "absent"]
    assert all(command.startswith(f"mtil evaluate {path} --suite toy") for command in found.missing)


def test_objects() -> None:
    assert object_of("drawer-open-v3") == object_of("drawer_close") == "drawer"
