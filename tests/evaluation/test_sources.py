from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtil.errors import CheckpointError
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import write_json
from mtil.evaluation.sources import read_sides

Make = Callable[..., EvaluationResult]


@pytest.fixture
def store(tmp_path: Path, trained: Make) -> Callable[..., Path]:
    """Writes a result of a run, and gives its file."""

    def write(run: str, name: str = "first", **protocol: Any) -> Path:
        result = trained(seed=0)
        file = tmp_path / run / "evaluation" / f"{name}.json"
        write_json(file, replace(result, protocol=replace(result.protocol, **protocol)))
        return file

    return write


def test_a_run_stands_for_its_result(store: Callable[..., Path], tmp_path: Path) -> None:
    files = [store("a-0"), store("a-1"), store("b")]
    a, b = read_sides([[tmp_path / "a-0", tmp_path / "a-1"], [files[2]]])
    assert (list(a), list(b)) == (files[:2], files[2:])


def test_a_run_of_several_stands_for_what_all_have(store: Callable[..., Path], tmp_path: Path) -> None:
    store("a", "other", seed=7)
    store("a", "control", control="wrong")
    shared, only = store("a"), store("b")
    assert [list(side) for side in read_sides([[tmp_path / "a"], [tmp_path / "b"]])] == [[shared], [only]]


def test_a_replay_is_no_result_to_compare(store: Callable[..., Path], tmp_path: Path) -> None:
    store("a", "replay", replay=3)
    shared = store("a")
    assert list(read_sides([[tmp_path / "a"]])[0]) == [shared]


def test_both_sides_may_be_the_same(store: Callable[..., Path], tmp_path: Path) -> None:
    file = store("a")
    assert [list(side) for side in read_sides([[tmp_path / "a"], [tmp_path / "a"]])] == [[file], [file]]


def test_a_run_stands_for_its_last_step_told_as_in_training(store: Callable[..., Path], tmp_path: Path) -> None:
    for step in (500, 1000):
        store("a", f"control-{step}", control="wrong", step=step)
        store("a", f"rephrased-{step}", instructions="other.yaml", step=step)
        last = store("a", f"own-{step}", step=step)
    store("a", "written-twice", step=1000)
    assert list(read_sides([[tmp_path / "a"]])[0]) == [last]


def test_controls_alone_may_be_compared(store: Callable[..., Path], tmp_path: Path) -> None:
    file = store("a", control="absent")
    assert list(read_sides([[tmp_path / "a"]])[0]) == [file]


def test_what_is_not_clear_is_asked_for(store: Callable[..., Path], tmp_path: Path) -> None:
    for run in ("a", "b"):
        store(run)
        store(run, "other", seed=7)
    message = r"a: expected one result like those of .*b, found: first\.json \(toy seed 0, .*\); other\.json"
    with pytest.raises(CheckpointError, match=message):
        read_sides([[tmp_path / "a"], [tmp_path / "b"]])
    store("c", seed=8)
    with pytest.raises(CheckpointError, match="name the JSON files"):
        read_sides([[tmp_path / "a"], [tmp_path / "c"]])


def test_what_is_not_there(store: Callable[..., Path], tmp_path: Path) -> None:
    store("a")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"empty: no result in it; make one with: mtil evaluate .*empty"):
        read_sides([[tmp_path / "a"], [tmp_path / "empty"]])
    with pytest.raises(CheckpointError, match=r"none: no such run directory"):
        read_sides([[tmp_path / "none"], [tmp_path / "a"]])
    with pytest.raises(CheckpointError, match=r"none\.json: the result cannot be read"):
        read_sides([[tmp_path / "none.json"], [tmp_path / "a"]])
    with pytest.raises(CheckpointError, match=r"a: given twice"):
        read_sides([[tmp_path / "a", tmp_path / "a"], [tmp_path / "a"]])
