"""What happens around the steps: checkpoints and progress."""

import shutil
from pathlib import Path
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtil.errors import OutputError
from mtil.files import replacing


def stepped(trainer: Trainer, batch_index: int) -> bool:
    """Whether the batch completed an optimiser step, where several are accumulated for one."""
    return (batch_index + 1) % trainer.accumulate_grad_batches == 0


class LastCheckpoint(Callback):
    """Keeps `last.ckpt` at the last step reached: every so many steps, and at the end. It is replaced in one move.

    It is written when all that a step brings is done, its logs and its validation too: a run that goes on from there
    neither repeats nor misses any of it. So it stands last among the callbacks.

    Args:
        folder: Where it lies.
        every: Steps between two.
        keep_every: Steps between those that also stay, as `step-N.ckpt`; None: only the last does.
    """

    def __init__(self, folder: Path, *, every: int, keep_every: int | None = None) -> None:
        self.path = folder / "last.ckpt"
        self._every, self._keep_every = every, keep_every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if stepped(trainer, batch_idx) and self._due(trainer) and not _validates(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._due(trainer):
            self._save(trainer)

    def _due(self, trainer: Trainer) -> bool:
        step = trainer.global_step
        return step % self._every == 0 or step == trainer.max_steps or self._kept(step)

    def _kept(self, step: int) -> bool:
        return self._keep_every is not None and step % self._keep_every == 0

    def _save(self, trainer: Trainer) -> None:
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path)  # gives its part; the first rank writes
            return
        try:
            with replacing(self.path) as temporary:
                trainer.save_checkpoint(temporary)
            if self._kept(trainer.global_step):
                with replacing(self.path.with_name(f"step-{trainer.global_step}.ckpt")) as temporary:
                    shutil.copyfile(self.path, temporary)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be written at step {trainer.global_step}: {error}") from None


def _validates(trainer: Trainer) -> bool:
    """Whether a validation follows upon the present step."""
    every = trainer.val_check_interval
    batches = trainer.global_step * trainer.accumulate_grad_batches
    return trainer.enable_validation and isinstance(every, int) and batches % every == 0


class StepProgress(Callback):
    """A progress bar over optimiser steps, with the latest losses and success beside it, on standard error."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[latest]}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("training", latest="")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._bar.update(self._task, total=trainer.max_steps, completed=trainer.global_step)
            self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step % 50 == 0 or trainer.global_step == trainer.max_steps:
            found = {name: trainer.callback_metrics.get(name) for name in ("train/nll", "val/nll", "rollout/success")}
            latest = "  ".join(f"{name} {value:.3f}" for name, value in found.items() if value is not None)
            self._bar.update(self._task, completed=trainer.global_step, latest=latest)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._bar.stop()
