from base64 import b64decode
from collections.abc import Callable
from pathlib import Path

import pytest

from mtil.errors import SimulatorError
from mtil.evaluation.metrics import EvaluationResult
from mtil.report.films import as_uri, chosen, films
from mtil.report.run import read_run


def test_the_tasks_take_turns(make_result: Callable[..., EvaluationResult]) -> None:
    outcomes = [each for each in make_result(tasks=("a", "b", "c"), won=(3, 1, 4)).outcomes if not each.success]
    turns = [(each.task, each.episode) for each in chosen(outcomes, ["b", "c", "a"], 10)]
    assert turns == [("b", 1), ("a", 3), ("b", 2), ("b", 3)]
    assert [(each.task, each.episode) for each in chosen(outcomes, ["b", "c", "a"], 2)] == turns[:2]


def test_films_that_are_there_are_used(make_run: Callable[..., Path], film: Callable[[Path], None]) -> None:
    run = read_run(make_run())
    path = run.path / "evaluation" / "films" / "plain" / "drawer-open-1.mp4"
    film(path)
    outcomes = [each for each in run.result.outcomes if each.task == "drawer-open"]
    assert films(run, outcomes) == {("drawer-open", 1): path}  # the toy has no camera to make others with
    assert b64decode(as_uri(path).removeprefix("data:video/mp4;base64,")) == path.read_bytes()


def test_where_films_cannot_be_made_they_can_be_left_out(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    run = read_run(make_run(results={"a": make_result(suite="gone")}))
    with pytest.raises(SimulatorError, match=r"unknown simulator 'gone'; .*; --films 0 reports without films$"):
        films(run, run.result.outcomes)
