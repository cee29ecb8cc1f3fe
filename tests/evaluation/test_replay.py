import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from mtil.cli import app
from mtil.errors import CheckpointError, SimulatorError
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.replay import film, replay_command
from mtil.evaluation.results import read_json
from mtil.evaluation.settings import EvaluationSettings
from mtil.policies.policy import Policy
from mtil.sim.base import load


@pytest.fixture
def filmable(toy_suite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(load(toy_suite)), "camera", "top")


@pytest.fixture
def result(run_directory: Path, filmable: None) -> EvaluationResult:
    return evaluate_checkpoint(run_directory, EvaluationSettings(episodes=3, control="wrong"), workers=1)


def test_films_show_the_episodes_that_were(result: EvaluationResult, tmp_path: Path) -> None:
    chosen = [result.outcomes[4], result.outcomes[1]]
    films = film(result, chosen, tmp_path / "films", workers=1)
    assert films == {
        (each.task, each.episode): tmp_path / "films" / f"{each.task}-{each.episode}.mp4" for each in chosen
    }
    for outcome in chosen:
        with av.open(str(films[outcome.task, outcome.episode])) as container:
            assert sum(1 for _ in container.decode(video=0)) == outcome.length + 1


def test_a_run_that_was_moved(result: EvaluationResult, run_directory: Path, tmp_path: Path) -> None:
    run_directory.rename(tmp_path / "moved")
    with pytest.raises(CheckpointError, match=r"last\.ckpt: no such run directory, export or checkpoint"):
        film(result, result.outcomes[:1], tmp_path / "films", workers=1)
    assert len(film(result, result.outcomes[:1], tmp_path / "films", checkpoint=tmp_path / "moved", workers=1)) == 1


def test_weights_that_were_not_evaluated(
    result: EvaluationResult, run_directory: Path, apprentice: Policy, save: Callable[..., Path], tmp_path: Path
) -> None:
    other = Policy(apprentice.config, apprentice.spec)
    save(other, run_directory / "checkpoints" / "last.ckpt", suite="toy")
    with pytest.raises(
        CheckpointError, match=rf"last\.ckpt: expected .*, {result.protocol.weights} \(step 12\), found"
    ):
        film(result, result.outcomes, tmp_path / "films", workers=1)


def test_an_episode_that_ends_otherwise(result: EvaluationResult, tmp_path: Path) -> None:
    recorded = replace(result.outcomes[0], length=99)
    with pytest.raises(
        SimulatorError, match=r"near, episode 0: run again, it ended otherwise: expected .* after 99 steps"
    ):
        film(result, [recorded], tmp_path / "films", workers=1)
    assert not list((tmp_path / "films").iterdir())


@pytest.mark.parametrize("control", ["wrong", "absent", None])
def test_the_command_replays_the_episode(
    run_directory: Path, filmable: None, control: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EvaluationSettings(episodes=3, seed=4, control=control)  # pyright: ignore[reportArgumentType]
    result = evaluate_checkpoint(run_directory, settings, workers=1)
    monkeypatch.chdir(tmp_path)
    mtil, *words = shlex.split(replay_command(result, result.outcomes[5]))
    assert mtil == "mtil"
    found = CliRunner().invoke(app, [*words, "--workers", "1", "--json", "again.json"], catch_exceptions=False)
    assert found.exit_code == 0
    assert read_json(Path("again.json")).outcomes == (result.outcomes[5],)
    assert [path.name for path in Path("films").iterdir()] == ["far-2.mp4"]


def test_a_path_with_a_blank_is_one_word(result: EvaluationResult) -> None:
    moved = replace(result, protocol=replace(result.protocol, path="my runs/x.ckpt", control=None))
    assert replay_command(moved, moved.outcomes[1]) == (
        "mtil evaluate 'my runs/x.ckpt' --suite toy --tasks near --seed 0 --replay 1 --condition one_hot --video films"
    )
    assert replay_command(moved, moved.outcomes[1], checkpoint=Path("now")).startswith("mtil evaluate now --suite")
    with pytest.raises(CheckpointError, match="the result does not tell where the checkpoint was"):
        replay_command(replace(moved, protocol=replace(moved.protocol, path=None)), moved.outcomes[0])
