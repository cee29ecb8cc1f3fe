import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from mtil.errors import CheckpointError, OutputError
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import read_json, result_path, results_of, to_json, write_json


def test_json_is_what_the_design_fixes(result: EvaluationResult) -> None:
    found = to_json(result)
    assert list(found) == ["protocol", "tasks", "mean", "outcomes", "machine"]
    assert list(found["protocol"]) == [
        "suite",
        "seed",
        "episodes_per_task",
        "horizon",
        "success",
        "condition",
        "checkpoint",
        "step",
        "weights",
        "control",
        "instructions",
        "videos",
        "clips",
        "untrained",
        "path",
        "replay",
        "suite_digest",
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


def test_a_runs_results_are_found_in_order(result: EvaluationResult, tmp_path: Path) -> None:
    assert results_of(tmp_path) == {}
    paths = [result_path(tmp_path, result.protocol, digest) for digest in ("2b" * 32, "1a" * 32)]
    for path in paths:
        write_json(path, result)
    (paths[0].parent / "films").mkdir()
    assert list(results_of(tmp_path).items()) == [(path, result) for path in reversed(paths)]
    with pytest.raises(CheckpointError, match="nowhere: no such run directory"):
        results_of(tmp_path / "nowhere")


def test_a_foreign_file_among_a_runs_results_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "evaluation").mkdir()
    (tmp_path / "evaluation" / "mine.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"mine\.json: not a result .*: move the file elsewhere, and if it was a"):
        results_of(tmp_path)


def test_a_results_name_says_what_it_is(result: EvaluationResult) -> None:
    protocol = replace(result.protocol, suite="other/suite", step=5000)
    path = result_path(Path("runs/x"), protocol, "1a2b3c4d5e6f")
    assert path == Path("runs/x/evaluation/other-suite_language_seed-3_step-5000_1a2b3c4d.json")
    wrong = result_path(Path("runs/x"), replace(protocol, control="wrong"), "1a2b3c4d5e6f")
    assert wrong.name == "other-suite_language-wrong_seed-3_step-5000_1a2b3c4d.json"
    described = result_path(Path("runs/x"), replace(protocol, suite="/far/away/tasks.yaml"), "1a2b3c4d5e6f")
    assert described.name == "tasks_language_seed-3_step-5000_1a2b3c4d.json"
