"""Callbacks at work in a real, short run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from mtil.data.datamodule import DemoDataModule
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig
from mtil.training.module import ImitationModule
from mtil.training.trainer import build_trainer, fit, quiet

MakeConfig = Callable[..., ExperimentConfig]
DECAY = 0.5


class Witness(Callback):
    """Notes, after every batch, the weights and the step of the checkpoint that is on disk."""

    def __init__(self, run: Path) -> None:
        self._file = run / "checkpoints" / "last.ckpt"
        self.weights: list[dict[str, torch.Tensor]] = []
        self.on_disk: list[int | None] = []

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.weights.append({name: value.detach().clone() for name, value in pl_module.named_parameters()})
        found = torch.load(self._file, weights_only=True)["global_step"] if self._file.exists() else None
        self.on_disk.append(found)


def run(config: ExperimentConfig, folder: Path) -> tuple[Witness, ImitationModule]:
    (folder / "checkpoints").mkdir()
    data = DemoDataModule(config.data, history=1, chunk=1, kinds={"one_hot": 1.0}, seed=0)
    torch.manual_seed(0)
    policy = Policy(config.policy, data.store.spec)
    policy.fit(data.statistics)
    module, witness = ImitationModule(policy, config=config), Witness(folder)
    with quiet():
        trainer = build_trainer(config, folder, spec=data.store.spec, held_out=True)
        trainer.callbacks.insert(0, witness)  # type: ignore[attr-defined]
        fit(trainer, module, data, None)
    return witness, module


@pytest.fixture
def config(make_config: MakeConfig, opposites: Path) -> ExperimentConfig:
    trainer = {"max_steps": 10, "checkpoint_every": 4, "validate_every": 3}
    return make_config(opposites, trainer=trainer, optimizer={"ema_decay": DECAY})


def test_averages_the_weights(config: ExperimentConfig, tmp_path: Path) -> None:
    """What is saved, and what is left at the end, is the average that a plain loop computes."""
    witness, module = run(config, tmp_path)
    first, *rest = witness.weights
    average = {name: value.clone() for name, value in first.items()}
    for n, weights in enumerate(rest, start=1):
        decay = min(DECAY, (1 + n) / (10 + n))
        for name, value in weights.items():
            average[name] = decay * average[name] + (1 - decay) * value
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    for name, expected in average.items():
        torch.testing.assert_close(checkpoint["state_dict"][name], expected)
        assert torch.equal(checkpoint["current_model_state"][name], witness.weights[-1][name])
        assert torch.equal(module.state_dict()[name], checkpoint["state_dict"][name])


def test_last_checkpoint_is_written_at_intervals_and_at_the_end(config: ExperimentConfig, tmp_path: Path) -> None:
    witness, _ = run(config, tmp_path)
    assert witness.on_disk == [None, None, None, None, 4, 4, 4, 4, 8, 8]
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_checkpoints_that_stay(config: ExperimentConfig, tmp_path: Path) -> None:
    """Also at steps that are no other checkpoint's, and with the validation of their step behind them."""
    trainer = config.trainer.model_copy(update={"keep_every": 3})
    run(config.model_copy(update={"trainer": trainer}), tmp_path)
    found = {file.name: torch.load(file, weights_only=True) for file in (tmp_path / "checkpoints").iterdir()}
    steps = {name: checkpoint["global_step"] for name, checkpoint in found.items()}
    assert steps == {"step-3.ckpt": 3, "step-6.ckpt": 6, "step-9.ckpt": 9, "last.ckpt": 10}


def test_steps_count_where_batches_are_accumulated(config: ExperimentConfig, tmp_path: Path) -> None:
    trainer = config.trainer.model_copy(update={"accumulate_grad_batches": 2, "max_steps": 5, "checkpoint_every": 2})
    witness, _ = run(config.model_copy(update={"trainer": trainer}), tmp_path)
    assert witness.on_disk == [None, None, None, None, 2, 2, 2, 2, 4, 4]


def test_progress_goes_to_standard_error(
    config: ExperimentConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer = config.trainer.model_copy(update={"progress_bar": True, "log_every": 5})
    run(config.model_copy(update={"trainer": trainer}), tmp_path)
    out, shown = capsys.readouterr()
    assert out == ""
    assert "10/10" in shown
    assert "train/nll" in shown
