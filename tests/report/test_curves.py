from collections.abc import Callable
from pathlib import Path

from mtil.report.curves import curves
from mtil.report.run import read_run


def test_every_task_has_a_curve_of_everything_logged(make_run: Callable[..., Path]) -> None:
    run = read_run(make_run())
    tasks = [task.task for task in run.result.tasks]
    found = curves([("run", run.metrics)], tasks)
    assert [[line.name for line in each.lines] for each in found.overall] == [
        ["val/nll", "train/nll"],
        ["val/action_error"],
    ]
    assert [[each.title for each in charts] for _, charts in found.folds] == [tasks, tasks]
    (first, *others) = found.folds[0][1]
    assert all(each.y_ticks == first.y_ticks for each in others)


def test_lines_of_several_runs_are_told_apart(make_run: Callable[..., Path]) -> None:
    metrics = read_run(make_run()).metrics
    chart = curves([("a", metrics), ("b", metrics)], []).overall[0]
    assert len({(line.name, line.style) for line in chart.lines}) == 4
    assert {line.style for line in chart.lines} == {"c0", "c1", "c0 train", "c1 train"}


def test_controls_have_a_chart_where_they_were_logged(make_run: Callable[..., Path]) -> None:
    metrics = dict(read_run(make_run()).metrics)
    metrics |= {f"val/{control}/action_error": metrics["val/action_error"] for control in ("wrong", "absent")}
    chart = curves([("run", metrics)], []).overall[-1]
    assert {line.name: line.style for line in chart.lines} == {
        "val/action_error": "c0",
        "val/wrong/action_error": "c0 wrong",
        "val/absent/action_error": "c0 absent",
    }


def test_nothing_logged() -> None:
    found = curves([("run", {})], ["reach"])
    assert (found.overall, found.folds) == ([], [])
