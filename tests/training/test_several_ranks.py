"""Training on two ranks: the same global batches, and the same end but for rounding."""

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from mtil.config import dump
from mtil.errors import CheckpointError, ConfigError
from mtil.policies.checkpoint import LAST, load_policy
from mtil.training import experiment
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train
from mtil.training.trainer import build_trainer

MakeConfig = Callable[..., ExperimentConfig]
SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
UNEQUAL = 15  # examples in a batch: 8 on one rank, 7 on the other


@pytest.fixture(scope="module")
def config(make_config: MakeConfig, opposites: Path) -> ExperimentConfig:
    return make_config(
        opposites,
        data={"batch_size": UNEQUAL},
        trainer={
            "max_steps": 30,
            "accumulate_grad_batches": 2,
            "log_every": 4,
            "validate_every": 6,
            "checkpoint_every": 10,
        },
    )


@pytest.fixture(scope="module")
def alone(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run on one rank."""
    run = tmp_path_factory.mktemp("alone") / "run"
    train(config, run, resume=False, console=Console(quiet=True))
    return run


def command(config: ExperimentConfig, run: Path, *options: str, launcher: tuple[str, ...] = ()) -> str:
    """Train in processes of its own; returns what they said."""
    file = run.with_suffix(".yaml")
    file.write_text(dump(config))
    arguments = [sys.executable, *launcher, str(SCRIPT), str(file), "--out", str(run), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "500"}
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


def assert_close(run: Path, alone: Path) -> None:
    """The same weights, averages and logs but for rounding."""
    found, expected = (torch.load(path / LAST, weights_only=True) for path in (run, alone))
    assert found["global_step"] == expected["global_step"]
    for kind in ("state_dict", "current_model_state"):
        assert found[kind].keys() == expected[kind].keys()
        for name, value in expected[kind].items():
            torch.testing.assert_close(found[kind][name], value, rtol=1e-4, atol=1e-5)
    rows, wanted = (list(csv.DictReader((path / "metrics.csv").read_text().splitlines())) for path in (run, alone))
    assert [row["step"] for row in rows] == [row["step"] for row in wanted]
    for row, want in zip(rows, wanted, strict=True):
        for name, value in want.items():
            assert row[name] == value or float(row[name]) == pytest.approx(float(value), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize(
    ("strategy", "launcher"), [("ddp", ()), ("ddp", TORCHRUN), ("fsdp", ())], ids=["ddp", "torchrun", "fsdp"]
)
def test_two_ranks_end_where_one_does(
    config: ExperimentConfig, alone: Path, tmp_path: Path, strategy: str, launcher: tuple[str, ...]
) -> None:
    said = command(config, tmp_path / "run", "trainer.devices=2", f"trainer.strategy={strategy}", launcher=launcher)
    assert said.count("trained:") == 1
    assert_close(tmp_path / "run", alone)
    if strategy == "fsdp":
        more = ("trainer.devices=2", "trainer.strategy=fsdp", "trainer.max_steps=32", "--resume")
        assert "at step 30" in command(config, tmp_path / "run", *more)
        assert load_policy(tmp_path / "run").step == 32


@pytest.fixture(scope="module")
def stopped(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on one rank whose last checkpoint is of step 10."""

    class Stop(Callback):
        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if trainer.global_step == 12:
                raise KeyboardInterrupt

    def build(*args: Any, **options: Any) -> Trainer:
        trainer = build_trainer(*args, **options)
        trainer.callbacks.append(Stop())  # type: ignore[attr-defined]
        return trainer

    run = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "build_trainer", build)
        with pytest.raises(KeyboardInterrupt):
            train(config, run, resume=False, console=Console(quiet=True))
    return run


def test_begun_on_one_rank_and_resumed_on_two(
    config: ExperimentConfig, alone: Path, stopped: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(stopped, tmp_path / "run"))
    assert "at step 10" in command(config, run, "trainer.devices=2", "--resume")
    assert_close(run, alone)


def test_a_sharded_run_stays_sharded(config: ExperimentConfig, stopped: Path) -> None:
    trainer = config.trainer.model_copy(update={"strategy": "fsdp", "devices": 2})
    sharded = config.model_copy(update={"trainer": trainer})
    with pytest.raises(CheckpointError, match=r"differs in trainer\.strategy from what is asked for"):
        train(sharded, stopped, resume=True, console=Console(quiet=True))


def test_a_launcher_and_a_configuration_that_disagree(
    config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigError, match="started as 3 processes, but devices x num_nodes is 1"):
        train(config, tmp_path / "run", resume=False, console=Console(quiet=True))
    assert not (tmp_path / "run").exists()
