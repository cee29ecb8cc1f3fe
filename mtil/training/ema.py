"""The exponential moving average of the weights, which is what is validated, kept and rolled out."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.tensor import DTensor

from mtil.training.callbacks import stepped
from mtil.training.sharding import forget_gathered

CURRENT = "current_model_state"  # in a checkpoint: the weights that the optimiser goes on with


class WeightEMA(Callback):
    """Averages the trained weights, each rank what it holds of them (Lightning's `WeightAveraging` cannot be sharded).

    The decay warms up as `(1 + n) / (10 + n)`, or a short run would end with much of its first weights in the average.
    In a checkpoint the average is under `state_dict`, and what the optimiser goes on with under `current_model_state`.

    Args:
        decay: Share of the average that a step keeps, at most.
    """

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._names: set[str] = set()
        self._current: list[Tensor] = []
        self._average: list[Tensor] = []
        self._resumed: dict[str, Tensor] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        trained = {name: p for name, p in pl_module.named_parameters() if p.requires_grad}
        self._names = set(trained)
        self._current = [_local(parameter) for parameter in trained.values()]
        self._average = [tensor.clone() for tensor in self._current]
        if self._resumed is not None:  # until now the average was in place of the weights
            options = StateDictOptions(full_state_dict=True, strict=False)
            set_model_state_dict(pl_module, dict(self._resumed), options=options)
            self._resumed = None

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if stepped(trainer, batch_idx):
            n = trainer.global_step - 1
            decay = min(self._decay, (1 + n) / (10 + n)) if n else 0.0
            torch._foreach_lerp_(self._average, self._current, 1 - decay)  # pyright: ignore

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._swap(pl_module)  # who trained the module wants the average

    def state_of(self, module: nn.Module) -> dict[str, Tensor]:
        """The state of the trained module, or of a part of it, with the average in it: a copy, whole on every rank."""
        with self._averaged(module):
            state = get_model_state_dict(module, options=StateDictOptions(full_state_dict=True))
            return {name: value.clone() for name, value in state.items() if isinstance(value, Tensor)}

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Put the average in place of the weights, and these aside."""
        current = checkpoint["state_dict"]
        with self._averaged(pl_module):
            average = trainer.strategy.lightning_module_state_dict()
            checkpoint["state_dict"] = {n: t.clone() if n in self._names else t for n, t in average.items()}
        checkpoint[CURRENT] = {name: tensor for name, tensor in current.items() if name in self._names}

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Remember what to go on with, for when the weights are where they will be trained."""
        self._resumed = checkpoint[CURRENT]

    @contextmanager
    def _averaged(self, module: nn.Module) -> Iterator[None]:
        self._swap(module)
        try:
            yield
        finally:
            self._swap(module)

    @torch.no_grad()
    def _swap(self, module: nn.Module) -> None:
        """Exchange weights and average."""
        kept = [tensor.clone() for tensor in self._current]
        torch._foreach_copy_(self._current, self._average)  # pyright: ignore
        torch._foreach_copy_(self._average, kept)  # pyright: ignore
        forget_gathered(module)


def _local(parameter: Tensor) -> Tensor:
    """What this rank holds of a parameter, in place."""
    data = parameter.detach()
    return data.to_local() if isinstance(data, DTensor) else data
