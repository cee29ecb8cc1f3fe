"""Precision and compilation: options that change speed, and the numbers only by rounding."""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from mtil.config import dump
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train

MakeConfig = Callable[..., ExperimentConfig]
SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"


@pytest.fixture(scope="module")
def config(make_config: MakeConfig, opposites: Path) -> ExperimentConfig:
    return make_config(opposites, trainer={"max_steps": 30})


def losses(run: Path) -> list[float]:
    rows = csv.DictReader((run / "metrics.csv").read_text().splitlines())
    return [float(row["train/nll"] or row["val/nll"]) for row in rows]


@pytest.fixture(scope="module")
def eager(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> list[float]:
    """What a run in single precision, not compiled, logs."""
    run = tmp_path_factory.mktemp("eager") / "run"
    train(config, run, resume=False, console=Console(quiet=True))
    return losses(run)


@pytest.mark.parametrize(
    ("overrides", "tolerance"),
    [
        (["trainer.compile=true"], 1e-3),
        (["trainer.precision=bf16-mixed"], 0.05),
    ],
    ids=str,
)
def test_a_run_logs_nearly_the_same(
    config: ExperimentConfig, eager: list[float], tmp_path: Path, overrides: list[str], tolerance: float
) -> None:
    """In a process of its own: shapes are not checked there, which the compiler could not look through."""
    file = tmp_path / "config.yaml"
    file.write_text(dump(config))
    command = [sys.executable, str(SCRIPT), str(file), "--out", str(tmp_path / "run"), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = losses(tmp_path / "run")
    assert found == pytest.approx(eager, rel=tolerance, abs=tolerance)
    assert found != eager
