"""From a run directory or checkpoint to what `mtil diagnose` says: whether its tasks fight, and how noisy batches are.

Legend: B batch, P parameters, T tasks.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtil.config import read
from mtil.data.apportionment import integer_weights
from mtil.data.config import UniformSampling
from mtil.data.datamodule import DemoDataModule
from mtil.data.descriptors import descriptor_table
from mtil.data.kinds import WRITTEN, WrittenKind
from mtil.data.sampling import Draw
from mtil.data.split import split
from mtil.data.window_dataset import WindowDataset
from mtil.encoders.config import clip_frames, kind_weights
from mtil.errors import CheckpointError
from mtil.policies.checkpoint import LoadedPolicy, find_checkpoint, load_policy
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import check_fits
from mtil.training.gradients import Population
from mtil.training.interference import Interference, measure
from mtil.training.module import ImitationModule

_CONFIGURED, _PROPORTIONAL, _EQUAL = "shares as configured", "shares in proportion to the data", "equal shares"


@dataclass(frozen=True)
class DiagnosisProtocol:
    """How a diagnosis was made.

    Attributes:
        checkpoint: Whose averaged weights.
        step: That it was trained to.
        parameters: Trained ones, which the gradients are of.
        data: Where the demonstrations lie.
        demos: Training demonstrations of each task, by name.
        batch_size: Examples in a batch.
        batches: Of each scheme, and groups of windows of each task.
        seed: Of what was drawn.
    """

    checkpoint: str
    step: int
    parameters: int
    data: str
    demos: dict[str, int]
    batch_size: int
    batches: int
    seed: int


@dataclass(frozen=True)
class Diagnosis:
    """What was measured, and how."""

    protocol: DiagnosisProtocol
    interference: Interference


class LossGradient:
    """The gradient of a policy's training loss at its weights, without dropout or augmentation, in single precision.

    Args:
        policy: The policy.
        dataset: Where windows come from.
        config: Of the run.

    Attributes:
        population: The windows, and the number of descriptors of each task.
        parameters: How many are trained.
    """

    def __init__(self, policy: LoadedPolicy, dataset: WindowDataset, config: ExperimentConfig) -> None:
        plain = config.trainer.model_copy(update={"compile": False})
        module = ImitationModule(policy.policy, config=config.model_copy(update={"trainer": plain})).eval()
        self._module, self._dataset = module, dataset
        self._weights = [parameter for parameter in module.parameters() if parameter.requires_grad]
        kinds = policy.policy.kinds
        self._kind = _written_kind(policy)
        self._condition = kinds.index(self._kind)
        table = descriptor_table(self._kind, policy.policy.spec)
        tasks = torch.arange(len(policy.policy.spec.tasks))
        self._first, last = (table.draw(tasks, torch.full(tasks.shape, share)) for share in (0.0, 1 - 2**-20))
        self.population = Population(dataset.task.numpy(), (last - self._first + 1).numpy())
        self.parameters = sum(parameter.numel() for parameter in self._weights)

    def __call__(
        self, windows: Int[np.ndarray, " B"], telling: Int[np.ndarray, " B"], weight: Float[np.ndarray, " B"]
    ) -> Float[Tensor, " P"]:
        batch = self._dataset.__getitems__(Draw.part(0, torch.from_numpy(windows)))
        descriptor = self._first[batch.task] + torch.from_numpy(telling)
        weighted = replace(
            batch,
            weight=torch.from_numpy(weight).float(),
            descriptors=batch.descriptors | {self._kind: descriptor},
            condition=torch.full_like(batch.condition, self._condition),
        )
        loss = self._module.training_step(weighted, 0)["loss"]
        found = torch.autograd.grad(loss, self._weights, materialize_grads=True)
        return torch.cat([gradient.flatten() for gradient in found])


def _written_kind(policy: LoadedPolicy) -> WrittenKind:
    """The kind of descriptor that the tasks are told in, of those that a vocabulary has few of."""
    kinds = policy.policy.kinds
    written: list[WrittenKind] = [kind for kind in WRITTEN if kind in kinds]
    if not written:
        told = f"this one is told them by {', '.join(kinds)}"
        raise CheckpointError(
            f"{policy.path}: expected a policy that is told its tasks by {', '.join(WRITTEN)}; {told}"
        )
    return "language" if "language" in written else written[0]


def diagnose(path: Path, *, batches: int, seed: int) -> Diagnosis:
    """Measure, at the averaged weights of a checkpoint, the tasks' gradients over the training data of its run.

    Args:
        path: Run directory, or a checkpoint in one.
        batches: Batches of each way of drawing them, and groups of windows of each task, at least 2.
        seed: Decides what is drawn.

    Raises:
        CheckpointError: No policy is there, or the data are no longer those that it was trained on.
        MtilError: The run's configuration or data cannot be read.
    """
    checkpoint = find_checkpoint(path)
    config = read(ExperimentConfig, checkpoint.absolute().parent.parent / "config.yaml")
    loaded = load_policy(checkpoint)
    torch.set_num_threads(config.trainer.threads or os.cpu_count() or 1)
    data = _data(config, loaded)
    gradient = LossGradient(loaded, data.train, config)
    names = data.store.spec.task_names
    found = measure(
        gradient,
        gradient.population,
        names=names,
        objectives=_objectives(
            data, gradient.population.windows, uniform=isinstance(config.data.sampling, UniformSampling)
        ),
        batches=batches,
        batch_size=config.data.batch_size,
        seed=seed,
    )
    demos = data.store.task[split(data.store, config.data, seed=config.seed)[0]].bincount(minlength=len(names))
    protocol = DiagnosisProtocol(
        checkpoint=str(loaded.path),
        step=loaded.step,
        parameters=gradient.parameters,
        data=config.data.where if config.data.stream is None else f"the first portion of {config.data.where}",
        demos=dict(zip(names, demos.tolist(), strict=True)),
        batch_size=config.data.batch_size,
        batches=batches,
        seed=seed,
    )
    return Diagnosis(protocol, found)


def _data(config: ExperimentConfig, loaded: LoadedPolicy) -> DemoDataModule:
    """The run's data, which must still be those that the policy was trained on."""
    policy = loaded.policy.config
    data = DemoDataModule(
        config.data,
        history=policy.history,
        chunk=policy.chunk,
        kinds=kind_weights(policy.task_encoder),
        frames=clip_frames(policy.task_encoder),
        vocabulary=loaded.card.spec if config.start else None,
        seed=config.seed,
    )
    check_fits(loaded, data)
    absent = [name for name, weight in zip(loaded.card.spec.task_names, data.task_weights, strict=True) if not weight]
    if absent:
        raise CheckpointError(
            f"{loaded.path}: expected demonstrations of all its tasks, found none of {', '.join(absent)}"
        )
    return data


def _objectives(data: DemoDataModule, windows: Int[np.ndarray, " T"], *, uniform: bool) -> dict[str, list[float]]:
    """By name, the tasks' weights in the run's own objective, and in the one to compare with where that is another."""
    proportional, equal = {_PROPORTIONAL: [float(n) for n in windows]}, {_EQUAL: [1.0] * len(windows)}
    objectives = proportional | equal if uniform else {_CONFIGURED: data.task_weights} | proportional
    own, other = (integer_weights(weights) / sum(integer_weights(weights)) for weights in objectives.values())
    return objectives if not np.allclose(own, other) else dict(list(objectives.items())[:1])
