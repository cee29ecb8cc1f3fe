"""A policy at work in many environments that start and end at different times.

Legend: S slots, H history, D dimensions of a key, K chunk, A action dimensions, Z width of z.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.errors import SimulatorError
from mtil.policies.execution import Execution, build_execution
from mtil.policies.policy import Policy

BATCH = 32
"""Slots that the policy decides for at once."""

Observation = Mapping[str, Shaped[np.ndarray, "..."]]


class Actor:
    """Acts in many slots: raw observations in, raw actions out, a history and an action chunk for each slot.

    The policy is always called with a batch of the same size, padded where fewer slots have something to decide: matrix
    kernels round differently by batch size, and what happens in a slot must depend neither on which others are busy nor
    on how many there are. On a row's place in the batch they do not depend where layers are a multiple of 4 wide.

    Args:
        policy: Put into evaluation mode.
        slots: Environments served.
    """

    def __init__(self, policy: Policy, *, slots: int) -> None:
        self._policy = policy.eval()
        self._spec = policy.spec
        self.slots = slots
        self._device = policy.action_normalizer.scale.device
        features, history = self._spec.observations, policy.config.history
        states = [feature for feature in features if feature.kind == "state"]
        self._history = {f.key: np.zeros((slots, history, *f.shape), f.dtype) for f in features}
        self._valid = {state.key: np.zeros((slots, *state.shape), bool) for state in states}
        self._shapes = {feature.key: [feature.shape] * slots for feature in features}
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
        rows = [row for row, observation in enumerate(observations) if observation is not None]
        self._remember({row: observation for row, observation in enumerate(observations) if observation is not None})
        deciding = [row for row in rows if self._execution[row].wants_chunk]
        for start in range(0, len(deciding), BATCH):
            some = deciding[start : start + BATCH]
            for row, chunk in zip(some, self._decide(some), strict=False):
                self._execution[row].add(chunk[:, : self._actions[row]])
        for row in rows:
            actions[row] = self._execution[row].next()
        return actions

    @torch.inference_mode()
    def _decide(self, rows: list[int]) -> Float[np.ndarray, "_ K A"]:
        """The chunks of at most a batch of slots; what pads the batch comes after them."""
        batch = np.array(rows + rows[:1] * (BATCH - len(rows)))
        history = {key: torch.from_numpy(value[batch]).to(self._device) for key, value in self._history.items()}
        valid = {key: torch.from_numpy(value[batch]).to(self._device) for key, value in self._valid.items()}
        z = self._z[torch.from_numpy(batch).to(self._device)]
        return self._policy.act(history, valid, z).float().cpu().numpy()

    def _remember(self, observations: Mapping[int, Observation]) -> None:
        rows = list(observations)
        for key, history in self._history.items():
            if history.shape[1] > 1:
                history[rows, :-1] = history[rows, 1:]
            shapes = self._shapes[key]
            for row, observation in observations.items():
                shape = shapes[row]
                history[row, -1, : shape[0]] = _of_shape(observation, key, shape)
        for row in rows:
            if self._fresh[row]:
                self._fresh[row] = False
                for history in self._history.values():
                    history[row] = history[row, -1:]


def _of_shape(observation: Observation, key: str, shape: tuple[int, ...]) -> Shaped[np.ndarray, "..."]:
    found = observation.get(key)
    if found is None:
        raise SimulatorError(f"observation {key!r}: the policy needs it; the simulator gives {sorted(observation)}")
    if found.shape != shape:
        raise SimulatorError(f"observation {key!r}: the policy expects shape {shape}, found {found.shape}")
    return found
