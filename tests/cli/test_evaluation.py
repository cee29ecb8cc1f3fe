import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from mtil.errors import OutputError
from mtil.evaluation.metrics import EvaluationProtocol, Outcome, summary
from mtil.evaluation.results import write_json

Invoke = Callable[..., Result]


def test_a_result_that_could_not_be_kept_is_refused_before_the_work(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "file").touch()
    result = invoke("evaluate", tmp_path / "no-run", "--json", tmp_path / "file" / "result.json")
    with pytest.raises(OutputError, match=r"result\.json: the result cannot be written"):
        raise result.exception or AssertionError("no error")


def test_comparing(tmp_path: Path, invoke: Invoke) -> None:
    protocol = EvaluationProtocol("toy", 0, 2, horizon=20, success="near", condition="language", checkpoint="last.ckpt")
    for run, successes in (("a", (True, True)), ("b", (True, False))):
        outcomes = [Outcome("push", episode, episode, "", success, 7) for episode, success in enumerate(successes)]
        write_json(tmp_path / run / "evaluation" / "seed-0.json", summary(protocol, outcomes))
    found = invoke("compare", tmp_path / "a", tmp_path / "b", "--json", tmp_path / "comparison.json")
    assert found.exit_code == 0, found.exception
    assert "+50.0" in found.output
    assert json.loads((tmp_path / "comparison.json").read_text())["mean"]["difference"] == 0.5
    assert invoke("compare", ",", tmp_path / "b").exit_code == 2
