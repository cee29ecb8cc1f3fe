"""A policy at work in many environments that start and end at different times.

Legend: S slots, H history, D dimensions of a key, K chunk, A action dimensions, Z width of z.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.data.scaling import as_taken
from mtil.errors import SimulatorError
from mtil.policies.execution import Execution, build_execution
from mtil.policies.policy import Policy
from mtil.types import FeatureSpec

BATCH = 32
"""Slots that the policy decides for at once, unless told otherwise."""

Observation = Mapping[str, Shaped[np.ndarray, "..."]]


class Actor:
    """Acts in many slots: raw observations in, raw actions out, a history and an action chunk for each slot.

    The policy is always called with a batch of the same size, padded where fewer slots have something to decide: matrix
    kernels round differently by batch size, and what happens in a slot must depend neither on which others are busy nor
    on how many there are. On a row's place in the batch they do not depend where layers are a multiple of 4 wide, those
    narrower than 12 at both sides.

    Args:
        policy: Put into evaluation mode.
        slots: Environments served.
        batch: Slots that it decides for at once. Where a slot costs much, as images do, a few slots in a batch of their
            own are served sooner, and rounded differently.
    """

    def __init__(self, policy: Policy, *, slots: int, batch: int = BATCH) -> None:
        self._policy = policy.eval()
        self._spec = policy.spec
        self.slots = slots
        self._batch = batch
        self._device = policy.action_normalizer.scale.device
        features, history = self._spec.observations, policy.config.history
        states = [feature for feature in features if feature.kind == "state"]
        self._history = {f.key: np.zeros((slots, history, *f.shape), f.dtype) for f in features}
        self._valid = {state.key: np.zeros((slots, *state.shape), bool) for state in states}
        self._shapes = {feature.key: [feature.shape] * slots for feature in features}
        self._keys = [{feature.key: feature.key for feature in features}] * slots
        self._embodiment = torch.zeros(slots, dtype=torch.long, device=self._device)
        self._z = torch.zeros(slots, policy.task_encoders.width, device=self._device)
        self._actions = [0] * slots
        self._execution: list[Execution] = [build_execution(policy.config.execution) for _ in range(slots)]
        self._fresh = [True] * slots

    def reset(self, row: int, z: Float[Tensor, " Z"], task: str) -> None:
        """Begin an episode of a task in a slot, conditioned on z."""
        for feature in self._spec.observations:
            if feature.kind == "state":
                width = self._spec.width(feature.key, task)
                self._valid[feature.key][row] = np.arange(feature.shape[0]) < width
                self._shapes[feature.key][row] = (width,)
        self._keys[row] = dict(self._spec.keys(task))
        for key, history in self._history.items():
            if key not in self._keys[row]:
                history[row] = 0  # an image that the task's embodiment does not have is black
        self._embodiment[row] = self._spec.embodiment(task) or 0
        self._actions[row] = self._spec.width(self._spec.action.key, task)
        self._z[row] = z.detach()
        self._execution[row] = build_execution(self._policy.config.execution)
        self._fresh[row] = True

    def act(self, observations: Sequence[Observation | None]) -> list[Float[np.ndarray, " A"] | None]:
        """One action for each slot that has an observation; None for those without.

        Raises:
            SimulatorError: An observation lacks a key that the policy needs, or has another size.
        """
        actions: list[Float[np.ndarray, " A"] | None] = [None] * len(observations)
        rows = self._remember(observations)
        for row, chunk in self._decide([row for row in rows if self._execution[row].wants_chunk]):
            self._execution[row].add(chunk)
        for row in rows:
            actions[row] = self._execution[row].next()
        return actions

    def chunks(self, observations: Sequence[Observation | None]) -> list[Float[np.ndarray, "K A"] | None]:
        """All that the policy predicts for each slot that has an observation; None for those without.

        Raises:
            SimulatorError: As `act`.
        """
        chunks: list[Float[np.ndarray, "K A"] | None] = [None] * len(observations)
        for row, chunk in self._decide(self.observe(observations)):
            chunks[row] = chunk
        return chunks

    def observe(self, observations: Sequence[Observation | None]) -> list[int]:
        """Remember observations, deciding nothing: policies with a history want those of all steps. Tells the slots.

        What `act` has left of an earlier chunk there is dropped: it was meant for steps that are past.

        Raises:
            SimulatorError: As `act`.
        """
        rows = self._remember(observations)
        for row in rows:
            self._execution[row] = build_execution(self._policy.config.execution)
        return rows

    def _decide(self, rows: Sequence[int]) -> Iterator[tuple[int, Float[np.ndarray, "K A"]]]:
        """The chunk of each of these slots."""
        for start in range(0, len(rows), self._batch):
            some = rows[start : start + self._batch]
            for row, chunk in zip(some, self._predict(some), strict=False):
                yield row, chunk[:, : self._actions[row]]

    @torch.inference_mode()
    def _predict(self, rows: Sequence[int]) -> Float[np.ndarray, "_ K A"]:
        """The chunks of at most a batch of slots; what pads the batch comes after them."""
        batch = np.array([*rows, *[rows[0]] * (self._batch - len(rows))])
        history = {key: torch.from_numpy(value[batch]).to(self._device) for key, value in self._history.items()}
        valid = {key: torch.from_numpy(value[batch]).to(self._device) for key, value in self._valid.items()}
        slots = torch.from_numpy(batch).to(self._device)
        embodiment = self._embodiment[slots] if self._spec.embodiments else None
        return self._policy.act(history, valid, self._z[slots], embodiment).float().cpu().numpy()

    def _remember(self, observations: Sequence[Observation | None]) -> list[int]:
        seen = {row: observation for row, observation in enumerate(observations) if observation is not None}
        rows = list(seen)
        for feature in self._spec.observations:
            key, history = feature.key, self._history[feature.key]
            if history.shape[1] > 1:
                history[rows, :-1] = history[rows, 1:]
            shapes = self._shapes[key]
            for row, observation in seen.items():
                if key in self._keys[row]:
                    shape = shapes[row]
                    history[row, -1, : shape[0]] = _of_shape(observation, self._keys[row][key], shape, feature)
        for row in rows:
            if self._fresh[row]:
                self._fresh[row] = False
                for history in self._history.values():
                    history[row] = history[row, -1:]
        return rows


def _of_shape(
    observation: Observation, key: str, shape: tuple[int, ...], feature: FeatureSpec
) -> Shaped[np.ndarray, "..."]:
    found = observation.get(key)
    if found is None:
        raise SimulatorError(f"observation {key!r}: the policy needs it; the simulator gives {sorted(observation)}")
    found = as_taken(found, feature)
    if found.shape != shape:
        raise SimulatorError(f"observation {key!r}: the policy expects shape {shape}, found {found.shape}")
    return found
