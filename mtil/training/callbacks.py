"""What happens around the steps: checkpoints, weight averaging, progress."""

from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, WeightAveraging
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from mtil.errors import OutputError
from mtil.files import replacing


def ema(decay: float) -> WeightAveraging:
    """Exponential moving average of the weights; checkpoints and validations use the averaged ones.

    The decay warms up as `(1 + n) / (10 + n)`, or a short run would end with much of its first weights in the average.
    """

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        n = int(count)
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + n) / (10 + n)))  # pyright: ignore

    return WeightAveraging(use_buffers=False, multi_avg_fn=update)


def stepped(trainer: Trainer, batch_index: int) -> bool:
    """Whether the batch completed an optimiser step, where several are accumulated for one."""
    return (batch_index + 1) % trainer.accumulate_grad_batches == 0


class LastCheckpoint(Callback):
    """Keeps `last.ckpt` at the last step reached: every so many steps, and at the end. It is replaced in one move.

    Args:
        folder: Where it lies.
        every: Steps between two.
    """

    def __init__(self, folder: Path, *, every: int) -> None:
        self.path = folder / "last.ckpt"
        self._every = every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = trainer.global_step % self._every == 0 or trainer.global_step == trainer.max_steps
        if due and stepped(trainer, batch_idx):
            try:
                with replacing(self.path) as temporary:
                    trainer.save_checkpoint(temporary)
            except OSError as error:
                raise OutputError(f"{self.path}: cannot be written at step {trainer.global_step}: {error}") from None


class StepProgress(Callback):
    """A progress bar over optimiser steps, with the latest losses beside it, on standard error."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("training", losses="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._bar.update(self._task, total=trainer.max_steps, completed=trainer.global_step)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % 50 == 0 or trainer.global_step == trainer.max_steps:
            found = {name: trainer.callback_metrics.get(name) for name in ("train/nll", "val/nll")}
            losses = "  ".join(f"{name} {value:.3f}" for name, value in found.items() if value is not None)
            self._bar.update(self._task, completed=trainer.global_step, losses=losses)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._bar.stop()
