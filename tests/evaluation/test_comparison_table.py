import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from mtil.evaluation.comparison import Comparison, compare
from mtil.evaluation.comparison_table import print_comparison, to_json, words
from mtil.evaluation.metrics import EvaluationResult


@pytest.fixture
def comparison(trained: Callable[..., EvaluationResult]) -> Callable[[int, int], Comparison]:
    """Of so many seeds of each side."""

    def made(first: int, second: int) -> Comparison:
        a = {Path(f"a-{seed}.json"): trained(seed=seed) for seed in range(first)}
        b = {Path(f"b-{seed}.json"): trained(seed=9 + seed, rate=0.6) for seed in range(second)}
        return compare(a, b)

    return made


Make = Callable[[int, int], Comparison]


def test_the_largest_difference_stands_first(comparison: Make, capsys: pytest.CaptureFixture[str]) -> None:
    found = comparison(1, 1)
    print_comparison(found)
    text = capsys.readouterr().out
    assert "\x1b" not in text
    assert all(len(line.rstrip()) <= 80 for line in text.splitlines())
    rows = [line.split() for line in text.splitlines() if line.split()[:1] in ([row.task] for row in found.tasks)]
    expected = sorted(found.tasks, key=lambda row: -abs(row.difference.difference))
    assert [row[0] for row in rows] == [row.task for row in expected]
    assert [row[3] for row in rows] == [f"{100 * row.difference.difference:+.1f}" for row in expected]


def test_words_say_what_the_intervals_are_over(comparison: Make) -> None:
    assert "over placements, for these two checkpoints" in words(comparison(1, 1))
    assert "over placements and over training seeds" in words(comparison(2, 3))
    assert "over B's training seeds. A is one training" in words(comparison(1, 3))
    assert "over A's training seeds. B is one training" in words(comparison(2, 1))
    said = words(comparison(2, 2))
    for part in ("toy, 30 episodes a task", "seed 0", "Success rule: the point near the goal", "On tasks like these"):
        assert part in said


def test_json_holds_everything(comparison: Make, tmp_path: Path) -> None:
    found = comparison(1, 2)
    written = to_json(found)
    assert list(written) == ["a", "b", "tasks", "mean", "mean_of_such_tasks", "discordance", "transfer"]
    assert list(written["a"]) == ["files", "protocols", "rates"]
    assert written["mean"] == asdict(found.mean)
    assert written["tasks"][0]["difference"] == asdict(found.tasks[0].difference)
    assert json.loads(json.dumps(written, allow_nan=False)) == written
