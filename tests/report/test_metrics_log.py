from pathlib import Path

import pytest

from mtil.errors import CheckpointError
from mtil.report.metrics_log import read_metrics


def test_blank_cells_are_steps_without_the_metric(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_text("step,train/nll,val/nll,never\n10,1.5,,\n20,,2.5,\n20,0.5,nan,\n3")
    found = read_metrics(path)
    assert {name: (list(each.steps), list(each.values)) for name, each in found.items()} == {
        "train/nll": ([10, 20], [1.5, 0.5]),
        "val/nll": ([20], [2.5]),
    }


def test_a_run_that_logged_nothing(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.csv") == {}
    (tmp_path / "metrics.csv").touch()
    assert read_metrics(tmp_path / "metrics.csv") == {}


@pytest.mark.parametrize("text", ["step,val/nll\nten,1.5\n", "name,val/nll\nten,1.5\n", "step,val/nll\n10,low\n"])
def test_another_table(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(CheckpointError, match=r"metrics\.csv: not a log of metrics: "):
        read_metrics(tmp_path / "metrics.csv")
