import json
from dataclasses import asdict
from pathlib import Path

import pytest

from mtil.errors import CheckpointError, OutputError
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome, mean_result, task_result
from mtil.evaluation.report import EpisodeProgress, print_table, read_json, to_json, write_json
from mtil.ranks import Rank


@pytest.fixture
def result() -> EvaluationResult:
    protocol = EvaluationProtocol(
        suite="toy",
        seed=3,
        episodes_per_task=2,
        horizon=20,
        success="the point near the goal",
        condition="language",
        checkpoint="runs/toy/checkpoints/last.ckpt",
    )
    outcomes = {"stick-pull": [True, True], "handle-press-side": [True, False]}
    tasks = tuple(
        task_result(task, [Outcome(task, episode, success=success, length=7) for episode, success in enumerate(row)])
        for task, row in outcomes.items()
    )
    return EvaluationResult(protocol=protocol, tasks=tasks, mean=mean_result(tasks))


def test_json_is_what_the_design_fixes(result: EvaluationResult) -> None:
    found = to_json(result)
    assert list(found) == ["protocol", "tasks", "mean"]
    assert list(found["protocol"]) == [
        "suite",
        "seed",
        "episodes_per_task",
        "horizon",
        "success",
        "condition",
        "checkpoint",
    ]
    assert isinstance(found["tasks"], list)
    assert [list(task) for task in found["tasks"]] == 2 * [
        ["task", "episodes", "successes", "rate", "low", "high", "mean_length"]
    ]
    assert list(found["mean"]) == ["rate", "low", "high"]
    assert found["mean"] == asdict(result.mean)
    assert json.loads(json.dumps(found)) == found


def test_reading_gives_what_was_written(result: EvaluationResult, tmp_path: Path) -> None:
    path = tmp_path / "evaluation" / "result.json"
    write_json(path, result)
    assert read_json(path) == result
    assert list(path.parent.iterdir()) == [path]


def test_a_result_that_cannot_be_written(result: EvaluationResult, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"result\.json: the result cannot be written"):
        write_json(tmp_path / "file" / "result.json", result)
    (tmp_path / "result.json").mkdir()
    with pytest.raises(OutputError, match=r"result\.json: the result cannot be written"):
        write_json(tmp_path / "result.json", result)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "result.json"]


def test_files_that_hold_no_result(result: EvaluationResult, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(CheckpointError, match=r"result\.json: the result cannot be read: No such file"):
        read_json(path)
    path.write_text("{")
    with pytest.raises(CheckpointError, match=r"result\.json: not a result of an evaluation: file: Invalid JSON"):
        read_json(path)
    damaged = to_json(result)
    damaged["tasks"][1]["rate"] = "high"
    path.write_text(json.dumps(damaged))
    with pytest.raises(CheckpointError, match=r"result\.json: not a result of an evaluation: tasks\.1\.rate:"):
        read_json(path)


def test_the_table_can_be_piped(result: EvaluationResult, capsys: pytest.CaptureFixture[str]) -> None:
    print_table(result)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    rows = [line.split() for line in text.splitlines()]
    assert ["stick-pull", "2/2", "100.0", "34.2", "-", "100.0", "7.0"] in rows
    assert ["handle-press-side", "1/2", "50.0", "9.5", "-", "90.5", "7.0"] in rows
    assert [row[:5] for row in rows if row[:1] == ["mean"]] == [["mean", "over", "tasks", "3/4", "75.0"]]
    words = " ".join(text.split())
    for part in ("toy, 2 episodes a task", "held-out", "seed 3", "20 steps", "Success rule: the point near the goal."):
        assert part in words
    assert "Condition: language. Checkpoint: runs/toy/checkpoints/last.ckpt." in words


def test_progress_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with EpisodeProgress(total=2) as progress:
        progress(Outcome("push", 0, success=True, length=3))
        progress(Outcome("push", 1, success=False, length=3))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err
    assert "1 successes" in shown.err


def test_of_several_ranks_the_first_alone_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    for rank in (Rank(0, 2), Rank(1, 2)):
        with EpisodeProgress(total=1, rank=rank) as progress:
            progress(Outcome("push", 0, success=True, length=3))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "rank 0 of 2 is evaluating" in shown.err
    assert "rank 1 of 2" not in shown.err
