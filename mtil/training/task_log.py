"""What a run logs of its losses: NLL and action error, overall and per task, over all ranks.

Where the policy takes several kinds of descriptor, each example counts in the kind that it is conditioned on, as in
training; and the validation is told for each kind besides, over all examples whose task has it, and under controls.

Legend: B batch.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from mtil.data.batch import Batch
from mtil.data.kinds import DescriptorKind
from mtil.training.callbacks import stepped
from mtil.training.metrics import TaskMeans, validation_names

_STATE = "train_nll"  # in a checkpoint: what has been counted since the last row


class TaskLog(Callback):
    """Writes rows to the loggers, at once: Lightning's own `log` would collect at every step, at a cost.

    Args:
        tasks: Their names.
        kinds: Of descriptor that the policy takes.
        every: Optimiser steps between rows of the training loss.
    """

    def __init__(self, tasks: Sequence[str], kinds: Sequence[DescriptorKind], *, every: int) -> None:
        self._every = every
        self._train_nll = TaskMeans(tasks)
        self._kinds = tuple(kinds)
        self._names = validation_names(kinds, len(tasks))
        self._validation = {told: {"nll": TaskMeans(tasks), "error": TaskMeans(tasks)} for told in self._names}

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._train_nll.add(outputs["nll"], batch.task)
        if stepped(trainer, batch_idx) and trainer.global_step % self._every == 0:
            rate = trainer.optimizers[0].param_groups[0]["lr"]
            report(trainer, self._train_nll.compute("train/nll", total=_total(trainer)) | {"learning_rate": rate})

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        for told, found in outputs.items():
            for counted, rows in self._counted(told, batch).items():
                for name, means in self._validation.get(counted, {}).items():
                    means.add(found[name][rows], batch.task[rows])

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        total = _total(trainer)
        metrics: dict[str, float] = {}
        for told, means in self._validation.items():
            metrics |= means["nll"].compute(f"{self._names[told]}nll", balanced=True, total=total)
            metrics |= means["error"].compute(f"{self._names[told]}action_error", balanced=True, total=total)
        report(trainer, metrics)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint[_STATE] = _total(trainer)(self._train_nll.state).cpu()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.is_global_zero:  # it is of all ranks together
            self._train_nll.state = checkpoint[_STATE]

    def _counted(self, told: str, batch: Batch) -> dict[str | None, Bool[Tensor, " B"]]:
        """Which examples count, and in which means, of what was found with all of them told in a kind or a control."""
        for position, kind in enumerate(self._kinds):
            if kind == told:
                return {None: batch.condition == position, kind: batch.descriptors[kind] >= 0}
        return {told: torch.ones_like(batch.condition, dtype=torch.bool)}


def _total(trainer: Trainer) -> Callable[[Tensor], Tensor]:
    """Adds a tensor up over the ranks; each gets the sum, and keeps its own."""
    return lambda state: trainer.strategy.reduce(state.clone(), reduce_op="sum")  # reduces in place


def report(trainer: Trainer, metrics: dict[str, float]) -> None:
    """Write a row of the present step."""
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step=trainer.global_step)
    trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})
