import shlex
from collections.abc import Callable
from pathlib import Path

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.commands import evaluation_command, training_command
from mtil.report.run import read_run


def test_commands_name_everything_that_decides_the_numbers(make_run: Callable[..., Path]) -> None:
    path = make_run("a run")
    run = read_run(path)
    words = shlex.split(evaluation_command(run))
    assert words[:3] == ["mtil", "evaluate", str(path)]
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert options.pop("--tasks").split(",")[:2] == ["drawer-close", "drawer-open"]
    assert options == {"--suite": "toy", "--condition": "language", "--episodes": "4", "--seed": "3"}
    assert shlex.split(training_command(run)) == ["mtil", "train", f"{path}/config.yaml", "--out", f"{path}-again"]


def test_clips_are_as_many(make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]) -> None:
    run = read_run(make_run(kind="video", results={"a": make_result(condition="video", clips=1)}))
    assert "--clips 1" in evaluation_command(run)
