"""A run killed (kill -9) and resumed is, to the bit, the run that was never killed."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from mtil.policies.checkpoint import LAST
from mtil.training import experiment
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train

MakeConfig = Callable[..., ExperimentConfig]
BUILD_TRAINER = experiment.build_trainer


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Death(Callback):
    """Kills the process once: at a step, within a validation, or while a checkpoint is being written."""

    def __init__(self, moment: str, step: int) -> None:
        self._moment, self._step = moment, step

    def at(self, moment: str, trainer: Trainer) -> None:
        if moment == self._moment and trainer.global_step == self._step:
            die()

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:
        self.at("backward is done", trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.at("a batch is done", trainer)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if batch_idx == 1:
            self.at("within a validation", trainer)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._moment == "within a checkpoint" and trainer.global_step == self._step:
            checkpoint["deadly"] = Deadly()


class Deadly:
    """Kills whoever writes it down."""

    def __reduce__(self) -> Any:
        die()


def run_in_a_process(config: ExperimentConfig, run: Path, death: Death | None = None) -> int:
    """Train, or go on, in another process; its exit status."""

    def work() -> None:
        def build(*args: Any, **options: Any) -> Trainer:
            trainer = BUILD_TRAINER(*args, **options)
            if death is not None:
                trainer.callbacks.insert(0, death)  # type: ignore[attr-defined]
            return trainer

        experiment.build_trainer = build
        train(config, run, resume=True, console=Console(file=StringIO()))

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode


@pytest.fixture(scope="module")
def config(make_config: MakeConfig, opposites: Path) -> ExperimentConfig:
    """Dropout, accumulation, loader workers; steps at which log, validation and checkpoint meet, and do not."""
    return make_config(
        opposites,
        data={"batch_size": 6, "num_workers": 2},
        policy={"trunk": {"width": 16, "depth": 1, "dropout": 0.2}},
        trainer={
            "max_steps": 24,
            "accumulate_grad_batches": 2,
            "log_every": 3,
            "validate_every": 4,
            "checkpoint_every": 6,
        },
    )


@pytest.fixture(scope="module")
def unharmed(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that was never killed."""
    run = tmp_path_factory.mktemp("unharmed") / "run"
    assert run_in_a_process(config, run) == 0
    return run


def tensors(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of a checkpoint, by their place."""
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: leaf for key, each in items for place, leaf in tensors(each, f"{path}/{key}").items()}
    return {path: value}


@pytest.mark.parametrize(
    "deaths",
    [
        [("backward is done", 3)],
        [("a batch is done", 6), ("a batch is done", 7)],
        [("a batch is done", 12), ("a batch is done", 23)],
        [("within a validation", 12), ("within a validation", 24)],
        [("within a checkpoint", 6), ("within a checkpoint", 12), ("within a checkpoint", 24)],
        [("backward is done", step) for step in (8, 11, 14, 17, 20)],
    ],
    ids=str,
)
def test_killed_and_resumed(
    config: ExperimentConfig, unharmed: Path, tmp_path: Path, deaths: list[tuple[str, int]]
) -> None:
    run = tmp_path / "run"
    for death in deaths:
        assert run_in_a_process(config, run, Death(*death)) == -signal.SIGKILL
    assert run_in_a_process(config, run) == 0
    assert (run / "metrics.csv").read_bytes() == (unharmed / "metrics.csv").read_bytes()
    found, expected = (tensors(torch.load(path / LAST, weights_only=True)) for path in (run, unharmed))
    for place in ("state_dict", "current_model_state", "optimizer_states", "train_nll", "lr_schedulers"):
        of_place = {key: value for key, value in expected.items() if key.startswith(f"/{place}")}
        assert of_place
        for key, value in of_place.items():
            same = torch.equal(found[key], value) if isinstance(value, torch.Tensor) else found[key] == value
            assert same, key
    assert [file.name for file in (run / "checkpoints").iterdir()] == ["last.ckpt"]
