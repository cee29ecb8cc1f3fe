"""An evaluation that is killed (kill -9) or interrupted (Ctrl-C), on any ranks, ends as one that was left alone."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.journal import Journal
from mtil.evaluation.metrics import Outcome
from mtil.evaluation.results import results_of
from mtil.evaluation.settings import EvaluationSettings
from mtil.sim.base import load

Launch = Callable[..., list[Any]]
SIX = EvaluationSettings(episodes=6)  # of two tasks

EVALUATE = """
import os, sys
from mtil.cli import main
from mtil.evaluation.journal import Journal
from mtil.ranks import this_rank

rank, number, episodes = (int(sys.argv.pop(1)) for _ in range(3))
add = Journal.add

def add_and_die(journal, outcome):
    global episodes
    add(journal, outcome)
    episodes -= 1
    if episodes == 0 and this_rank().index == rank:
        journal._file.write('{"task": "ne')  # in the middle of the next line
        journal._file.flush()
        os.kill(os.getpid(), number)

Journal.add = add_and_die
main(["evaluate", *sys.argv[1:], "--episodes", "6", "--workers", "1"])
"""


def evaluate(launch: Launch, run: Path, *, ranks: int = 1, die: tuple[int, int, int]) -> list[Any]:
    """On so many ranks, of which one gets a signal after so many of its episodes."""
    return launch([["-c", EVALUATE, *die, run]] * ranks)


def test_interrupted_again_and_again(run_directory: Path, launch: Launch, capsys: pytest.CaptureFixture[str]) -> None:
    """Killed after 4 episodes; the second of two ranks killed after 2 of its 4, while the first does 4; then Ctrl-C."""
    undisturbed = evaluate_checkpoint(run_directory, SIX, workers=1)
    ((path, result),) = results_of(run_directory).items()
    whole = path.read_bytes()
    path.unlink()
    assert len({outcome.length for outcome in undisturbed.outcomes}) > 2
    (killed,) = evaluate(launch, run_directory, die=(0, signal.SIGKILL, 4))
    assert killed.returncode == -signal.SIGKILL
    first, second = evaluate(launch, run_directory, ranks=2, die=(1, signal.SIGKILL, 2))
    assert (first.returncode, second.returncode) == (1, -signal.SIGKILL)
    assert "continuing: 4 of 12 episodes are there" in first.stderr
    (stopped,) = evaluate(launch, run_directory, die=(0, signal.SIGINT, 1))
    assert stopped.returncode not in (0, -signal.SIGKILL)
    assert "continuing: 10 of 12 episodes are there" in stopped.stderr
    assert not results_of(run_directory)
    assert evaluate_checkpoint(run_directory, SIX, workers=1) == undisturbed
    assert "continuing: 11 of 12 episodes are there" in capsys.readouterr().err
    assert results_of(run_directory) == {path: result}
    assert path.read_bytes() == whole
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_without_a_run_directory_the_journal_is_beside_the_result(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "results"
    undisturbed = evaluate_checkpoint(checkpoint, SIX, workers=1)
    with interrupted(monkeypatch, after=3):
        evaluate_checkpoint(checkpoint, SIX, workers=1, json=folder / "x.json")
    assert [file.name for file in folder.iterdir()] == [".x.json.rank-0-of-1.journal"]
    capsys.readouterr()
    assert evaluate_checkpoint(checkpoint, SIX, workers=2, json=folder / "x.json") == undisturbed
    assert "continuing: 3 of 12 episodes are there" in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == ["x.json"]


def test_films_are_there_in_the_end(run_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(load("toy")), "camera", "top")
    with interrupted(monkeypatch, after=11):
        evaluate_checkpoint(run_directory, SIX, workers=1)
    continued = evaluate_checkpoint(run_directory, SIX, workers=1, video=tmp_path / "films")
    assert sorted(film.name for film in (tmp_path / "films").iterdir()) == ["far.mp4", "near.mp4"]
    assert continued == evaluate_checkpoint(run_directory, SIX, workers=1)


@contextmanager
def interrupted(monkeypatch: pytest.MonkeyPatch, *, after: int) -> Iterator[None]:
    """Ctrl-C after this many episodes."""
    noted: list[Outcome] = []
    add = Journal.add

    def add_and_stop(journal: Journal, outcome: Outcome) -> None:
        add(journal, outcome)
        noted.append(outcome)
        if len(noted) == after:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", add_and_stop)
        with pytest.raises(KeyboardInterrupt):
            yield
