"""Before and after a fine-tuning: which tasks are whose, what was gained, what was forgotten."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mtil.evaluation.comparison import Comparison, compare
from mtil.evaluation.comparison_table import words
from mtil.evaluation.metrics import EvaluationResult, summary
from mtil.evaluation.transfer import TransferResult

Make = Callable[..., EvaluationResult]


def succeeding(result: EvaluationResult, **rates: float) -> EvaluationResult:
    """The result with so many of each task's first episodes successful."""
    episodes = result.protocol.episodes_per_task
    outcomes = [replace(each, success=each.episode < round(rates[each.task] * episodes)) for each in result.outcomes]
    return summary(result.protocol, outcomes)


def untrained(result: EvaluationResult, *tasks: str) -> EvaluationResult:
    return replace(result, protocol=replace(result.protocol, untrained=tasks or None))


@pytest.fixture
def before(trained: Make) -> EvaluationResult:
    """Of a policy that does not know `door`."""
    return untrained(succeeding(trained(seed=0), push=0.9, reach=1.0, door=0.1), "door")


@pytest.fixture
def after(trained: Make) -> EvaluationResult:
    return succeeding(trained(seed=1), push=0.8, reach=0.9, door=0.8)


def compared(a: EvaluationResult, b: EvaluationResult) -> Comparison:
    return compare({Path("a.json"): a}, {Path("b.json"): b})


def transfer_of(a: EvaluationResult, b: EvaluationResult) -> TransferResult:
    found = compared(a, b).transfer
    assert found is not None
    return found


def test_gain_and_forgetting(before: EvaluationResult, after: EvaluationResult) -> None:
    found = transfer_of(after, before)
    assert found.after == "a"
    assert (found.new.tasks, found.new.before.rate, found.new.after.rate) == (("door",), 0.1, pytest.approx(0.8))
    assert found.new.change.difference == pytest.approx(0.7)
    assert found.known is not None
    assert found.known.tasks == ("push", "reach")
    assert (found.known.before.rate, found.known.after.rate) == (pytest.approx(0.95), pytest.approx(0.85))
    assert found.forgetting is not None
    assert found.forgetting.difference == pytest.approx(0.1)
    assert found.forgetting.low < 0.1 < found.forgetting.high


def test_whichever_side_comes_first(before: EvaluationResult, after: EvaluationResult) -> None:
    first, second = transfer_of(after, before), transfer_of(before, after)
    assert replace(second, after="a") == first
    assert second.after == "b"


def test_seeds_are_taken_together(trained: Make, before: EvaluationResult, after: EvaluationResult) -> None:
    other = succeeding(trained(seed=2), push=0.7, reach=1.0, door=0.6)
    found = compare({Path("a.json"): after, Path("c.json"): other}, {Path("b.json"): before}).transfer
    assert found is not None
    assert found.new.after.rate == pytest.approx(0.7)


def test_nothing_but_new_tasks(before: EvaluationResult, after: EvaluationResult) -> None:
    """Says nothing of what was forgotten."""
    pair = [summary(each.protocol, [o for o in each.outcomes if o.task == "door"]) for each in (after, before)]
    comparison = compared(*pair)
    assert comparison.transfer is not None
    assert (comparison.transfer.known, comparison.transfer.forgetting) == (None, None)
    assert "Forgetting: unknown; evaluate both on tasks that B was trained on, too." in words(comparison)


def test_words(before: EvaluationResult, after: EvaluationResult) -> None:
    said = words(compared(before, after))
    assert "1 task: trained on by B alone, A 10.0% (" in said
    assert "; +70.0 points, 95% interval" in said
    assert "2 tasks: trained on by both, A 95.0% (" in said
    assert "Forgetting, from A to B: 10.0 points, 95% interval" in said


@pytest.mark.parametrize(("first", "second"), [((), ()), (("door",), ("door",)), (("door",), ("push",))])
def test_no_transfer_where_neither_knows_more(trained: Make, first: tuple[str, ...], second: tuple[str, ...]) -> None:
    found = compared(untrained(trained(seed=0), *first), untrained(trained(seed=1), *second))
    assert found.transfer is None
    assert "Forgetting" not in words(found)
