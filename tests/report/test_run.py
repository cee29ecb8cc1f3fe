from collections.abc import Callable
from pathlib import Path

import pytest

from mtil.errors import CheckpointError, ConfigError
from mtil.evaluation.metrics import EvaluationResult
from mtil.report.run import read_run, read_runs, setting

MakeRun = Callable[..., Path]
MakeResult = Callable[..., EvaluationResult]


def test_the_report_is_about_the_plain_evaluation_of_the_latest_step(
    make_run: MakeRun, make_result: MakeResult
) -> None:
    late, wrong, other = make_result(step=40), make_result(control="wrong"), make_result(instructions="other.yaml")
    early, again = make_result(step=20, weights="early"), make_result(replay=1)
    stale = make_result(step=20, weights="early", control="absent")
    results = {"a": wrong, "b": early, "c": late, "d": other, "e": again, "f": stale}
    run = read_run(make_run(results=results))
    assert run.result == late
    assert run.source.name == "c.json"
    assert run.controls == {"wrong": wrong}
    assert run.rephrased == {"other.yaml": other}
    assert run.told
    assert set(run.metrics) >= {"val/nll", "train/nll/drawer-open"}


def test_a_run_may_lack_checkpoint_and_log(make_run: MakeRun) -> None:
    path = make_run(kind="none")
    (path / "metrics.csv").unlink()
    run = read_run(path)
    assert (run.policy, run.metrics, run.machines, run.told) == (None, {}, (), False)


def test_what_cannot_be_reported(make_run: MakeRun, make_result: MakeResult, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected a run directory, found nothing"):
        read_run(tmp_path / "nowhere")
    path = make_run(results={"a": make_result(control="wrong")})
    with pytest.raises(CheckpointError, match=r"run: has no evaluation to report; make one with: mtil evaluate .*run$"):
        read_run(path)
    (path / "evaluation" / "b.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"b\.json: not a result of an evaluation"):
        read_run(path)
    (path / "config.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match=r"config\.yaml: expected a run's configuration, found list"):
        read_run(path)


def test_of_several_evaluations_told_alike_the_one_with_the_most_episodes_counts(
    make_run: MakeRun, make_result: MakeResult
) -> None:
    full, wrong = make_result(instructions="x.yaml"), make_result(control="wrong")
    few = make_result(tasks=("drawer-open", "drawer-close"), instructions="x.yaml")
    both = make_result(instructions="x.yaml", control="wrong")
    results = {"a": make_result(), "b": full, "c": full, "d": few, "e": wrong, "f": both}
    run = read_run(make_run(results=results))
    assert (run.rephrased, run.controls) == ({"x.yaml": full}, {"wrong": wrong})


def test_what_it_is_told_by_default_counts_before_other_kinds_and_tasks(
    make_run: MakeRun, make_result: MakeResult
) -> None:
    usual, goal, untrained = make_result(), make_result(condition="goal"), make_result(untrained=("drawer-open",))
    run = read_run(make_run(results={"a": goal, "b": untrained, "c": usual}))
    assert run.result == usual


def test_a_run_given_twice(make_run: MakeRun) -> None:
    path = make_run()
    with pytest.raises(CheckpointError, match=r"run/\.\./run: given twice; expected different runs"):
        read_runs([path, path / ".." / "run"])


def test_a_setting_that_is_not_there() -> None:
    assert setting({"a": {"b": 1}}, "a", "b") == 1
    assert setting({"a": 1}, "a", "b") is None
