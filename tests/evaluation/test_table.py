from collections.abc import Callable
from dataclasses import replace

import pytest

from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.table import print_table

Shown = Callable[..., str]


@pytest.fixture
def shown(result: EvaluationResult, capsys: pytest.CaptureFixture[str]) -> Shown:
    """The table of a result whose protocol is otherwise."""

    def shown(**protocol: object) -> str:
        print_table(replace(result, protocol=replace(result.protocol, **protocol)))
        return " ".join(capsys.readouterr().out.split())

    return shown


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
    assert "run again" not in words


def test_a_control_is_called_one(shown: Shown) -> None:
    assert "CONTROL" not in shown()
    assert "CONTROL: the policy was told another task than the one that it was to do." in shown(control="wrong")
    assert "CONTROL: the policy was not told its task (z = 0)." in shown(control="absent")


def test_a_replay_is_called_one(shown: Shown) -> None:
    assert "toy, episode 7 of each task alone, each from a held-out placement" in shown(episodes_per_task=1, replay=7)


def test_of_other_sentences_those_that_fail_are_shown(shown: Shown) -> None:
    assert "sentences that fail most" not in shown()
    words = shown(instructions="mine.yaml")
    assert "Condition: language, with the sentences of mine.yaml." in words
    assert "sentences that fail most" in words
    assert words.endswith("handle-press-side do handle-press-side 1/2")


def test_episodes_that_were_run_again_are_counted(result: EvaluationResult, capsys: pytest.CaptureFixture[str]) -> None:
    first, *others = result.outcomes
    print_table(replace(result, outcomes=(replace(first, reruns=2), *others)))
    said = " ".join(capsys.readouterr().out.split())
    assert "1 episodes were run again because their environment process had died or hung." in said
