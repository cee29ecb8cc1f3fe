import pytest

from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.table import print_table


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
