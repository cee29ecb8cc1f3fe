"""The policy pi(a | s, z): normaliser, encoders, trunk and head in one module, without trainer, dataset or simulator.

Legend: B batch, H history, K chunk, A action dimensions, D dimensions of a key, N descriptors, Z width of z.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from mtil.data.batch import Batch
from mtil.data.kinds import DescriptorKind, default_kind
from mtil.data.statistics import FeatureStatistics
from mtil.encoders.base import Clip, ClipEncoder, Goal, TaskEncoder
from mtil.encoders.config import encoder_parts
from mtil.encoders.multimodal import TaskEncoders
from mtil.encoders.normalizer import Normalizer
from mtil.encoders.observation import ObservationEncoder
from mtil.encoders.vision import part_of
from mtil.errors import CheckpointError, ConfigError, unknown
from mtil.policies.card import Card
from mtil.policies.config import PolicyConfig
from mtil.policies.export import write_export
from mtil.policies.heads import ActionDistribution, build_head
from mtil.policies.readout import StateReadout
from mtil.policies.task_encoder import build_task_encoder
from mtil.policies.trunk import build_trunk
from mtil.types import DatasetSpec

_VISION = "observation_encoder."
TASKS = "task_encoders._encoders."


class Policy(nn.Module):
    """A policy for the tasks and features of a dataset.

    Args:
        config: Architecture.
        spec: What the data decides: vocabulary, feature sizes.
        state: Of such a policy, where it is to be loaded: nothing pretrained is then looked up.
        before: What the data decided of the policy that the state is of, where that is not the same.

    Raises:
        ConfigError: The configuration does not fit the observations.
        EncoderError: A pretrained model is missing, or is none.
    """

    def __init__(
        self,
        config: PolicyConfig,
        spec: DatasetSpec,
        *,
        state: Mapping[str, Tensor] | None = None,
        before: DatasetSpec | None = None,
    ) -> None:
        super().__init__()
        self.config, self.spec = config, spec
        actions = spec.action.shape[0]
        parts = encoder_parts(config.task_encoder)
        stored = {kind: part_of(state, f"{TASKS}{kind}.") for kind in parts}
        self.task_encoders = TaskEncoders(
            [build_task_encoder(part, spec, stored[kind], before=before) for kind, part in parts.items()]
        )
        condition = self.task_encoders.width
        seen = part_of(state, _VISION)
        self.observation_encoder = ObservationEncoder(
            spec.observations, points=config.points, images=config.image_encoder, condition=condition, state=seen
        )
        streams = self.observation_encoder.widths
        self.trunk = build_trunk(config.trunk, streams=streams, history=config.history, condition=condition)
        self.head = build_head(config.head, features=self.trunk.width, chunk=config.chunk, actions=actions)
        self.action_normalizer = Normalizer(actions)
        self.readout = self._build_readout() if spec.targets else None
        self.register_load_state_dict_pre_hook(_renamed)

    @staticmethod
    def from_state(config: PolicyConfig, spec: DatasetSpec, state: Mapping[str, Tensor]) -> "Policy":
        """A policy with the given weights; no pretrained model that it was made of need be there.

        Raises:
            CheckpointError: The weights are of another architecture.
        """
        state = _present_names(state, config)
        policy = Policy(config, spec, state=state)
        try:
            policy.load_state_dict(state)
        except RuntimeError as error:
            raise CheckpointError(f"weights do not fit the policy: {' '.join(str(error).split())}") from None
        return policy

    @staticmethod
    def from_pretrained(source: str | Path) -> "Policy":
        """The policy of a run directory, a checkpoint, an export, or an export on the Hub by its id; with its averaged
        weights, in evaluation mode.

        Raises:
            CheckpointError: There is none, or it is damaged.
        """
        from mtil.policies.checkpoint import load_policy  # it loads what this module makes

        return load_policy(Path(source)).policy

    def save_pretrained(
        self, folder: str | Path, *, suite: str | None = None, step: int = 0, success: str | None = None
    ) -> None:
        """Write an export: `config.json`, `model.safetensors` and a model card. (`mtil export` writes that of a run.)

        Args:
            folder: Where to; it must not exist, or be empty.
            suite: The simulator that its tasks live in, if any.
            step: Optimiser steps that it was trained for.
            success: How often it succeeds, in Markdown, for the card.

        Raises:
            OutputError: The folder is taken, or cannot be written.
        """
        card = Card(self.config, self.spec, suite)
        write_export(Path(folder), card=card, state=self.state_dict(), step=step, success=success)

    @property
    def kinds(self) -> tuple[DescriptorKind, ...]:
        """Kinds of descriptor that the policy can be conditioned on."""
        return self.task_encoders.kinds

    @property
    def default_kind(self) -> DescriptorKind:
        """The kind that it is told in unless another is asked for: language, or its first."""
        return default_kind(self.kinds)

    @property
    def clip_shape(self) -> tuple[int, ...]:
        """Of a clip that shows it a task: frames, height, width, colours.

        Raises:
            CheckpointError: Clips do not show it anything.
        """
        encoder = self.require("video")
        assert isinstance(encoder, ClipEncoder)
        return encoder.shape

    def require(self, kind: str) -> TaskEncoder[Any]:
        """The encoder of a kind of descriptor.

        Raises:
            CheckpointError: The policy cannot be conditioned on it.
        """
        for known in self.kinds:
            if known == kind:
                return self.task_encoders[known]
        raise CheckpointError(unknown("condition for this policy", kind, self.kinds))

    def fit(self, statistics: Mapping[str, FeatureStatistics]) -> None:
        """Fix the normalisation of observations and actions, and the range of the head."""
        config = self.config.normalization
        self.observation_encoder.fit(statistics, config)
        self.task_encoders.fit(statistics, config)
        actions = statistics[self.spec.action.key]
        self.action_normalizer.fit(actions, config.actions, config.floor)
        self.head.fit(self.action_normalizer(actions.low), self.action_normalizer(actions.high))
        if self.readout is not None:
            self.readout.fit(statistics, config)

    def embed(self, kind: str, descriptors: Sequence[str] | Sequence[Clip] | Sequence[Goal]) -> Float[Tensor, "N Z"]:
        """The embeddings z of raw descriptors: task names (`one_hot`), sentences (`language`), frames of clips as uint8
        (F, h, w, 3) (`video`), states or images to be reached (`goal`), anything (`none`).

        Each is embedded alone, so that a replayed episode is given the very z of the evaluation that it was part of.

        Raises:
            CheckpointError: The policy does not take this kind.
        """
        encoder = self.require(kind)
        return torch.cat([encoder(row) for row in encoder.prepare(descriptors).split(1)])

    def forward(
        self,
        observations: Mapping[str, Shaped[Tensor, "B H ..."]],
        observation_mask: Mapping[str, Bool[Tensor, "B _"]],
        z: Float[Tensor, "B Z"],
    ) -> ActionDistribution:
        """The distribution of the next K actions, in normalised units, given states `(B, H, D)` and images
        `(B, H, h, w, 3)` as they are in a batch.
        """
        return self.head(self.trunk(self.observation_encoder(observations, observation_mask, z), z))

    def nll(self, batch: Batch, z: Float[Tensor, "B Z"]) -> Float[Tensor, " B"]:
        """Negative log-likelihood of the expert's actions, in nats, a density over raw action units.

        The scale of the normaliser is accounted for, so that policies which normalise differently compare.
        """
        return self._nll(self(batch.observations, batch.observation_mask, z), batch)

    def training_loss(self, batch: Batch, z: Float[Tensor, "B Z"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """What training minimises: the NLL as in `nll`, and what is added to it for states told wrongly, if any are
        to be told; and the NLL alone.
        """
        streams = self.observation_encoder(batch.observations, batch.observation_mask, z)
        nll = self._nll(self.head(self.trunk(streams, z)), batch)
        if self.readout is None:
            return nll, nll
        seen = streams[len(streams) - self.observation_encoder.images :]
        error = self.readout.error(seen, z, batch.targets, batch.target_mask)
        return nll + self.config.readout.weight * error, nll

    def evaluate(self, batch: Batch, z: Float[Tensor, "B Z"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """NLL as in `nll`, and mean absolute error of the most likely action, in raw units."""
        distribution = self(batch.observations, batch.observation_mask, z)
        error = (self.action_normalizer.inverse(distribution.mode) - batch.actions).abs().where(batch.action_mask, 0.0)
        return self._nll(distribution, batch), error.sum((1, 2)) / batch.action_mask.sum((1, 2))

    def act(
        self,
        observations: Mapping[str, Shaped[Tensor, "B H ..."]],
        observation_mask: Mapping[str, Bool[Tensor, "B _"]],
        z: Float[Tensor, "B Z"],
    ) -> Float[Tensor, "B K A"]:
        """The most likely next K actions, in raw units."""
        return self.action_normalizer.inverse(self(observations, observation_mask, z).mode)

    def _build_readout(self) -> StateReadout:
        encoder = self.observation_encoder
        if not encoder.images:
            keys = ", ".join(feature.key for feature in self.spec.observations)
            raise ConfigError(f"data.targets: expected images to tell them from, found {keys}")
        streams = encoder.widths[len(encoder.widths) - encoder.images :]
        return StateReadout(self.config.readout, self.spec.targets, streams=streams, condition=self.task_encoders.width)

    def _nll(self, distribution: ActionDistribution, batch: Batch) -> Float[Tensor, " B"]:
        log_prob = distribution.log_prob(self.action_normalizer(batch.actions), batch.action_mask)
        log_scale = (self.action_normalizer.scale.log() * batch.action_mask).sum((1, 2))
        return log_scale - log_prob


def _renamed(policy: nn.Module, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Before weights are loaded: find them under the names that they have now."""
    assert isinstance(policy, Policy)
    mine = {name: state.pop(name) for name in list(state) if name.startswith(prefix)}
    found = _present_names({name.removeprefix(prefix): value for name, value in mine.items()}, policy.config)
    state |= {f"{prefix}{name}": value for name, value in found.items()}


def _present_names(state: Mapping[str, Tensor], config: PolicyConfig) -> dict[str, Tensor]:
    """A state under the names of now: once, policies could not see, and later, had one task encoder."""
    moved = {"task_encoder.": f"{TASKS}{next(iter(encoder_parts(config.task_encoder)))}."}
    if config.history == 1:  # of longer windows, the trunk took the features in another order
        moved[f"{_VISION}normalizers."] = f"{_VISION}state.normalizers."

    def now(name: str) -> str:
        for before, after in moved.items():
            if name.startswith(before):
                return after + name.removeprefix(before)
        return name

    return {now(name): value for name, value in state.items()}
