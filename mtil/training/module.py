"""The training loop's step: negative log-likelihood behaviour cloning, overall and per task.

Legend: B batch, K kinds of descriptor, S sentences, Z width of z.
"""

from typing import Any

import torch
from jaxtyping import Float, Shaped
from lightning import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from mtil.data.augment import augment
from mtil.data.batch import Batch
from mtil.data.descriptors import descriptor_table
from mtil.data.kinds import WRITTEN, DescriptorKind, WrittenKind
from mtil.data.randomness import seed_generators
from mtil.encoders.alignment import misalignment
from mtil.encoders.config import MultimodalConfig
from mtil.policies.card import Card
from mtil.policies.checkpoint import CARD
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig
from mtil.training.controls import validation_controls
from mtil.training.optimizer import build_optimizer
from mtil.training.sharding import shard


class ImitationModule(LightningModule):
    """Trains a policy on stratified batches.

    The loss is `sum(weight * nll)`, its weights fixed by the sampler from the global batch: the quotas are the
    objective, on any number of ranks. (An example's error in telling what its images show is added to its NLL where the
    data name targets.) Means per task are logged, never optimised.

    Args:
        policy: The policy, its normalisation fixed.
        config: Optimiser, length, logging, and the seed, which with the step decides what a training step draws.
        others: By position of a task, the example of another that it is told as in a control of the validation (see
            `controls`); None: there is no such control.
    """

    def __init__(self, policy: Policy, *, config: ExperimentConfig, others: Batch | None = None) -> None:
        super().__init__()
        self.policy, self._config, self._others = policy, config, others
        self._written: list[WrittenKind] = [kind for kind in WRITTEN if kind in policy.kinds]
        for kind in self._written:
            table = descriptor_table(kind, policy.spec)
            self.register_buffer(f"_prepared_{kind}", policy.task_encoders[kind].prepare(table.rows), persistent=False)
            self.register_buffer(f"_task_{kind}", torch.from_numpy(table.task), persistent=False)
        self._loss = torch.compile(policy.training_loss) if config.trainer.compile else policy.training_loss

    def configure_model(self) -> None:
        """Split the weights over the ranks, where that is the strategy."""
        if self.device_mesh is not None:
            shard(self.policy, self.device_mesh)

    def embed(self, batch: Batch, kind: DescriptorKind | None = None) -> Float[Tensor, "B Z"]:
        """The embedding z of each example's descriptor: of the kind that it is conditioned on, or of another that its
        task has.
        """
        kinds = self.policy.kinds
        condition = batch.condition if kind is None else torch.full_like(batch.condition, kinds.index(kind))
        return self.policy.task_encoders(self._prepared(batch), batch.descriptors, condition)

    def _prepared(self, batch: Batch) -> dict[str, Shaped[Tensor, "_ ..."]]:
        """By kind, the prepared descriptors that a batch refers to."""
        prepared = {kind: self.get_buffer(f"_prepared_{kind}") for kind in self._written}
        made = {"video": batch.clips, "goal": batch.goals}
        return prepared | {kind: each for kind, each in made.items() if each is not None}

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss of this rank, and the NLL of each of its examples, whose images and clips may be augmented."""
        if self.training:
            batch = augment(batch, self._config.data, torch.default_generator)
        z = self.embed(batch)
        loss, nll = self._loss(batch, self._noisy(z))
        total = (loss * batch.weight).sum() + self._misalignment(batch, z)
        return {"loss": total, "nll": nll.detach()}

    def validation_step(self, batch: Batch, batch_idx: int) -> dict[str, dict[str, Tensor]]:
        """By kind of descriptor, the NLL of each example and its error, if it were conditioned on that kind; and the
        same under each control.
        """
        if batch_idx == 0 and self._others is not None:  # the weights are those of this validation
            self._wrong = self._embed_each(self._others.to(batch.task.device))
        told = {kind: self.embed(batch, kind) for kind in self.policy.kinds} | self._controlled(batch)
        found = {name: self.policy.evaluate(batch, z) for name, z in told.items()}
        return {name: {"nll": nll, "error": error} for name, (nll, error) in found.items()}

    def _embed_each(self, batch: Batch) -> Float[Tensor, "K B Z"]:
        """The embeddings of each example in every kind; in its own in place of one that its task lacks."""
        own = self.embed(batch)
        return torch.stack(
            [self.embed(batch, kind).where(batch.descriptors[kind][:, None] >= 0, own) for kind in self.policy.kinds]
        )

    def _controlled(self, batch: Batch) -> dict[str, Float[Tensor, "B Z"]]:
        """The embedding of each example under each control."""
        found: dict[str, Float[Tensor, "B Z"]] = {}
        for control in validation_controls(self.policy.kinds, 1 if self._others is None else len(self._others)):
            match control:
                case "wrong":
                    found[control] = self._wrong[batch.condition, batch.task]
                case "absent":
                    found[control] = batch.weight.new_zeros(len(batch), self.policy.task_encoders.width)
        return found

    def _noisy(self, z: Float[Tensor, "B Z"]) -> Float[Tensor, "B Z"]:
        deviation = self.policy.config.z_noise
        return z + deviation * torch.randn_like(z) if self.training and deviation else z

    def _misalignment(self, batch: Batch, z: Float[Tensor, "B Z"]) -> Float[Tensor, ""]:
        """What the loss adds for examples that are shown a clip which is embedded far from their sentence."""
        encoder = self.policy.config.task_encoder
        alignment = encoder.alignment if isinstance(encoder, MultimodalConfig) else None
        if alignment is None:
            return z.new_zeros(())
        sentence = batch.descriptors["language"]
        rows = ((batch.condition == self.policy.kinds.index("video")) & (sentence >= 0)).nonzero().squeeze(1)
        task = self.get_buffer("_task_language")
        distance = misalignment(z[rows], self._sentences(batch), sentence[rows], task, alignment)
        return alignment.weight * (distance * batch.weight[rows]).sum()

    @torch.no_grad()
    def _sentences(self, batch: Batch) -> Float[Tensor, "S Z"]:
        """The embeddings of all sentences that tell a task."""
        every = torch.arange(len(self.get_buffer("_task_language")), device=self.device)
        language = torch.full_like(every, self.policy.kinds.index("language"))
        return self.policy.task_encoders(self._prepared(batch), dict.fromkeys(self.policy.kinds, every), language)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        accumulated = self._config.trainer.accumulate_grad_batches
        draw = self.global_step * accumulated + batch_idx % accumulated
        seed_generators(self._config.seed, draw, rank=self.global_rank)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        optimizer, schedule = build_optimizer(self, self._config)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[CARD] = Card(self.policy.config, self.policy.spec, self._config.suite).to_json()
