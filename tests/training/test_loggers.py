import csv
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from lightning.pytorch.loggers import TensorBoardLogger

from mtil.errors import ConfigError
from mtil.training.config import ExperimentConfig
from mtil.training.loggers import CSVMetrics, run_loggers

COLUMNS = ["train/nll", "val/nll"]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Rows of the steps 10, 20 and 30."""
    path = tmp_path / "metrics.csv"
    metrics = CSVMetrics(path, COLUMNS)
    for step in (10, 20, 30):
        metrics.log_metrics({"train/nll": step / 7}, step=step)
    return path


def test_rows_are_on_disk_at_once(path: Path) -> None:
    assert rows(path) == [{"step": str(s), "train/nll": repr(s / 7), "val/nll": ""} for s in (10, 20, 30)]


def test_resuming_drops_what_will_be_trained_again(path: Path) -> None:
    metrics = CSVMetrics(path, COLUMNS, step=20)
    metrics.log_metrics({"val/nll": 1.5}, step=25)
    assert [row["step"] for row in rows(path)] == ["10", "20", "25"]
    assert rows(path)[1] == {"step": "20", "train/nll": repr(20 / 7), "val/nll": ""}
    assert [file.name for file in path.parent.iterdir()] == ["metrics.csv"]


def test_starting_anew_drops_everything(path: Path) -> None:
    CSVMetrics(path, COLUMNS)
    assert rows(path) == []


def test_a_row_that_a_killed_process_did_not_finish(path: Path) -> None:
    path.write_text(path.read_text() + "4")
    CSVMetrics(path, COLUMNS, step=40)
    assert [row["step"] for row in rows(path)] == ["10", "20", "30"]


def test_another_column_keeps_old_rows(path: Path) -> None:
    CSVMetrics(path, [*COLUMNS, "learning_rate"], step=30)
    assert [row["train/nll"] for row in rows(path)] == [repr(s / 7) for s in (10, 20, 30)]


def test_a_run_has_a_table_and_tensorboard(make_config: Callable[..., ExperimentConfig], tmp_path: Path) -> None:
    table, board = run_loggers(make_config(tmp_path), tmp_path, ["reach", "push"], step=0)
    assert isinstance(board, TensorBoardLogger)
    assert isinstance(table, CSVMetrics)
    header = (tmp_path / "metrics.csv").read_text().strip().split(",")
    assert header[:5] == ["step", "learning_rate", "train/nll", "val/nll", "val/action_error"]
    controls = [f"val/{control}/{metric}" for control in ("wrong", "absent") for metric in ("nll", "action_error")]
    assert header[5:9] == controls
    assert header[9:] == [f"{mean}/{task}" for mean in (*header[2:5], *controls) for task in ("reach", "push")]


def test_rollouts_have_columns_where_there_are_any(
    make_config: Callable[..., ExperimentConfig], tmp_path: Path
) -> None:
    run_loggers(make_config(tmp_path, trainer={"rollout_every": 5}), tmp_path, ["reach"], step=0)
    header = (tmp_path / "metrics.csv").read_text().strip().split(",")
    rollouts = ["rollout/success", "rollout/success/reach", "rollout/length", "rollout/length/reach"]
    assert sorted(set(header) & set(rollouts)) == sorted(rollouts)
    run_loggers(make_config(tmp_path), tmp_path, ["reach"], step=0)
    assert not set((tmp_path / "metrics.csv").read_text().strip().split(",")) & set(rollouts)


def test_wandb_that_is_not_installed(
    make_config: Callable[..., ExperimentConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not there, where it is
    with pytest.raises(ConfigError, match=r'trainer\.wandb: .* not installed; pip install "mtil\[wandb\]"'):
        run_loggers(make_config(tmp_path, trainer={"wandb": "mtil"}), tmp_path, ["reach"], step=0)
