"""The policy pi(a | s, z): normaliser, encoders, trunk and head in one module, without trainer, dataset or simulator.

Legend: B batch, H history, K chunk, A action dimensions, D dimensions of a key, N descriptors, Z width of z.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float, Int, Shaped
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

    _embodiment_of_task: Int[Tensor, " tasks"]

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
        own = [spec.embodiment(task) or 0 for task in spec.task_names]
        self.register_buffer("_embodiment_of_task", torch.tensor(own), persistent=False)
        self.observation_encoder = ObservationEncoder(
            spec.observations,
            points=config.points,
            images=config.image_encoder,
            condition=condition,
            embodiments=len(spec.embodiments),
            state=part_of(state, _VISION),
        )
        streams = self.observation_encoder.widths
        self.trunk = build_trunk(config.trunk, streams=streams, history=config.history, condition=condition)
        self.head = build_head(config.head, features=self.trunk.width, chunk=config.chunk, actions=actions)
        self.action_normalizer = Normalizer(actions, len(spec.embodiments))
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

    def fit(
        self, statistics: Mapping[str, FeatureStatistics], own: Mapping[str, FeatureStatistics] | None = None
    ) -> None:
        """Fix the normalisation of observations and actions, and the range of the head.

        Args:
            statistics: Of all data; goals are normalised by them.
            own: Those of each embodiment, where there are several; states and actions are normalised by them.
        """
        config, own = self.config.normalization, own or statistics
        self.observation_encoder.fit(own, config)
        self.task_encoders.fit(statistics, config)
        actions = own[self.spec.action.key]
        self.action_normalizer.fit(actions, config.actions, config.floor)
        self.fit_range(actions.low, actions.high)
        if self.readout is not None:
            self.readout.fit(own, config)

    def fit_range(self, low: Float[Tensor, "*M A"], high: Float[Tensor, "*M A"]) -> None:
        """Fix the range of the head, given the least and greatest actions, of each embodiment if there are several."""
        ends = [(end - self.action_normalizer.shift) / self.action_normalizer.scale for end in (low, high)]
        least, greatest = (end.reshape(-1, end.shape[-1]) for end in ends)
        self.head.fit(least.amin(0), greatest.amax(0))

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
        embodiment: Int[Tensor, " B"] | None = None,
    ) -> ActionDistribution:
        """The distribution of the next K actions, in normalised units, given states `(B, H, D)` and images
        `(B, H, h, w, 3)` as they are in a batch; and the examples' embodiments, where there are several.
        """
        return self.head(self.trunk(self.observation_encoder(observations, observation_mask, z, embodiment), z))

    def nll(self, batch: Batch, z: Float[Tensor, "B Z"]) -> Float[Tensor, " B"]:
        """Negative log-likelihood of the expert's actions, in nats, a density over raw action units.

        The scale of the normaliser is accounted for, so that policies which normalise differently compare.
        """
        embodiment = self._embodiment(batch)
        return self._nll(self(batch.observations, batch.observation_mask, z, embodiment), batch, embodiment)

    def training_loss(self, batch: Batch, z: Float[Tensor, "B Z"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """What training minimises: the NLL as in `nll`, and what is added to it for states told wrongly, if any are
        to be told; and the NLL alone.
        """
        embodiment = self._embodiment(batch)
        streams = self.observation_encoder(batch.observations, batch.observation_mask, z, embodiment)
        nll = self._nll(self.head(self.trunk(streams, z)), batch, embodiment)
        if self.readout is None:
            return nll, nll
        seen = streams[len(streams) - self.observation_encoder.images :]
        error = self.readout.error(seen, z, batch.targets, batch.target_mask, embodiment)
        return nll + self.config.readout.weight * error, nll

    def evaluate(self, batch: Batch, z: Float[Tensor, "B Z"]) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
        """NLL as in `nll`, and mean absolute error of the most likely action, in raw units."""
        embodiment = self._embodiment(batch)
        distribution = self(batch.observations, batch.observation_mask, z, embodiment)
        actions = self.action_normalizer.inverse(distribution.mode, embodiment)
        error = (actions - batch.actions).abs().where(batch.action_mask, 0.0)
        return self._nll(distribution, batch, embodiment), error.sum((1, 2)) / batch.action_mask.sum((1, 2))

    def act(
        self,
        observations: Mapping[str, Shaped[Tensor, "B H ..."]],
        observation_mask: Mapping[str, Bool[Tensor, "B _"]],
        z: Float[Tensor, "B Z"],
        embodiment: Int[Tensor, " B"] | None = None,
    ) -> Float[Tensor, "B K A"]:
        """The most likely next K actions, in raw units."""
        distribution = self(observations, observation_mask, z, embodiment)
        return self.action_normalizer.inverse(distribution.mode, embodiment)

    def _build_readout(self) -> StateReadout:
        encoder = self.observation_encoder
        if not encoder.images:
            keys = ", ".join(feature.key for feature in self.spec.observations)
            raise ConfigError(f"data.targets: expected images to tell them from, found {keys}")
        streams = encoder.widths[len(encoder.widths) - encoder.images :]
        return StateReadout(
            self.config.readout,
            self.spec.targets,
            streams=streams,
            condition=self.task_encoders.width,
            embodiments=len(self.spec.embodiments),
        )

    def _embodiment(self, batch: Batch) -> Int[Tensor, " B"] | None:
        """Of each example, where there are several."""
        return self._embodiment_of_task[batch.task] if self.spec.embodiments else None

    def _nll(
        self, distribution: ActionDistribution, batch: Batch, embodiment: Int[Tensor, " B"] | None
    ) -> Float[Tensor, " B"]:
        normalizer = self.action_normalizer
        log_prob = distribution.log_prob(normalizer(batch.actions, embodiment=embodiment), batch.action_mask)
        scale = normalizer.scale if embodiment is None else normalizer.scale[embodiment].unsqueeze(1)
        return (scale.log() * batch.action_mask).sum((1, 2)) - log_prob


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
