from collections.abc import Callable
from pathlib import Path

import pytest

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.run import read_run
from mtil.report.sentences import sentences
from mtil.report.subject import subjects


def test_what_fails_of_all_that_was_said(make_run: Callable[..., Path]) -> None:
    run = read_run(make_run())
    (found,) = sentences(subjects([run])[0])
    failed = [each for each in run.result.outcomes if not each.success]
    assert sum(row.episodes - row.successes for row in found.failing) == len(failed)
    assert {row.sentence for row in found.failing} == {each.told for each in failed}
    assert (found.failing[0].sentence, found.failing[0].successes) == ("do drawer-open, 1", 0)
    assert (found.count, found.kept) == (6, None)


def test_other_sentences_keep_a_share(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    other = make_result(won=(2, 1, 1), instructions="held/out.yaml")
    run = read_run(make_run(results={"a": make_result(), "b": other}))
    _, found = sentences(subjects([run])[0])
    assert found.title == "run: other sentences, out.yaml"
    assert found.kept == pytest.approx(4 / 8)
    assert found.mean is not None
    assert found.mean.rate == pytest.approx(4 / 12)


def test_seeds_without_the_other_sentences_do_not_count(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    first = {"a": make_result("bc-0", won=(2, 2, 2)), "b": make_result("bc-0", won=(1, 1, 1), instructions="x.yaml")}
    runs = [read_run(make_run("bc-0", results=first)), read_run(make_run("bc-1", seed=1))]
    _, found = sentences(subjects(runs)[0])
    assert found.title == "bc (2 seeds): other sentences, x.yaml, 1 of 2 seeds"
    assert found.kept == pytest.approx(3 / 6)


def test_a_policy_that_is_not_told_in_sentences(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    run = read_run(make_run(kind="one_hot", results={"a": make_result(condition="one_hot")}))
    assert sentences(subjects([run])[0]) == []
