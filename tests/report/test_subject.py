from collections.abc import Callable
from pathlib import Path

import pytest

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.run import read_run
from mtil.report.subject import subjects


def test_seeds_of_one_training_are_one(make_run: Callable[..., Path]) -> None:
    paths = [make_run("bc-0", seed=0), make_run("other", kind="none"), make_run("bc-1", seed=1)]
    first, second = subjects([read_run(path) for path in paths])
    assert (first.name, [run.name for run in first.runs]) == ("bc (2 seeds)", ["bc-0", "bc-1"])
    assert (second.name, first.told, second.told) == ("other", True, False)
    assert [(task.successes, task.episodes) for task in first.rates.tasks.values()] == [(8, 8), (2, 8), (6, 8)]


def test_one_run_has_the_numbers_of_its_result(make_run: Callable[..., Path]) -> None:
    run = read_run(make_run())
    (subject,) = subjects([run])
    for task in run.result.tasks:
        assert vars(subject.rates.tasks[task.task]) == pytest.approx(vars(task))
    assert vars(subject.rates.mean) == pytest.approx(vars(run.result.mean))


def test_runs_evaluated_otherwise_stay_apart(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    paths = [make_run("bc-0"), make_run("bc-1", seed=1, results={"a": make_result("bc-1", seed=4)})]
    assert len(subjects([read_run(path) for path in paths])) == 2


def test_runs_of_one_name_in_two_folders_are_told_apart(make_run: Callable[..., Path]) -> None:
    paths = [make_run("bc"), make_run("elsewhere/bc", kind="none")]
    assert [subject.name for subject in subjects([read_run(path) for path in paths])] == [str(path) for path in paths]
