"""The training loop's step: negative log-likelihood behaviour cloning, overall and per task.

Legend: B batch.
"""

from typing import Any

import torch
from jaxtyping import Float
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR

from mtil.data.batch import Batch
from mtil.data.descriptors import descriptor_table
from mtil.policies.checkpoint import CARD, Card
from mtil.policies.policy import Policy
from mtil.training.callbacks import stepped
from mtil.training.config import ExperimentConfig
from mtil.training.metrics import TaskMeans
from mtil.training.schedule import warmup_cosine


class ImitationModule(LightningModule):
    """Trains a policy on stratified batches.

    The loss is `sum(weight * nll) / sum(weight)`: the sampler's quotas are the objective. Means per task are logged,
    never optimised.

    Args:
        policy: The policy, its normalisation fixed.
        config: Optimiser, length, logging, and the seed, which with the step decides what a training step draws.
    """

    def __init__(self, policy: Policy, *, config: ExperimentConfig) -> None:
        super().__init__()
        self.policy, self._config = policy, config
        names = policy.spec.task_names
        self.train_nll, self.val_nll, self.val_error = TaskMeans(names), TaskMeans(names), TaskMeans(names)
        encoder = policy.task_encoder
        descriptors = encoder.prepare(descriptor_table(encoder.kind, policy.spec).rows)
        self.register_buffer("_descriptors", descriptors, persistent=False)

    def embed(self, batch: Batch) -> Float[Tensor, "B Z"]:
        """The embedding z of each example's descriptor."""
        rows = batch.descriptors[self.policy.task_encoder.kind]
        return self.policy.task_encoder(self._descriptors[rows])  # type: ignore[index]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        nll = self.policy.nll(batch, self.embed(batch))
        self.train_nll.add(nll.detach(), batch.task)
        return (nll * batch.weight).sum() / batch.weight.sum()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        nll, error = self.policy.evaluate(batch, self.embed(batch))
        self.val_nll.add(nll, batch.task)
        self.val_error.add(error, batch.task)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        accumulated = self._config.trainer.accumulate_grad_batches
        torch.manual_seed(self._config.seed * 2**32 + self.global_step * accumulated + batch_idx % accumulated)

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if stepped(self.trainer, batch_idx) and self.global_step % self._config.trainer.log_every == 0:
            rate = self.trainer.optimizers[0].param_groups[0]["lr"]
            self._report(self.train_nll.compute("train/nll") | {"learning_rate": rate})

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self._report(
                self.val_nll.compute("val/nll", balanced=True)
                | self.val_error.compute("val/action_error", balanced=True)
            )

    def configure_optimizers(self) -> OptimizerLRScheduler:
        config = self._config.optimizer
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        groups = [
            {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
        ]
        fused = self._config.trainer.precision == "32-true"  # else Lightning could not clip the gradients
        optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, fused=fused)
        schedule = LambdaLR(optimizer, warmup_cosine(config.warmup_steps, self._config.trainer.max_steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CARD] = Card(self.policy.config, self.policy.spec, self._config.suite).to_json()

    def _report(self, metrics: dict[str, float]) -> None:
        """To every logger at once: Lightning's own `log` would collect at every step, at a cost."""
        for logger in self.loggers:
            logger.log_metrics(metrics, step=self.global_step)
        self.trainer.callback_metrics.update({name: torch.tensor(value) for name, value in metrics.items()})
