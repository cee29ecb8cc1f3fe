"""A policy at work in many environments that start and end at different times.

Legend: S slots, H history, D dimensions of a key, A action dimensions, Z width of z.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.errors import SimulatorError
from mtil.policies.policy import Policy

Observation = Mapping[str, Shaped[np.ndarray, "..."]]


class Actor:
    """Acts in a fixed number of slots: raw observations in, raw actions out, an observation history for each slot.

    The policy is always called with every slot, idle ones included: matrix kernels round differently by batch size, and
    what happens in one slot must not depend on which others are busy.

    Args:
        policy: Put into evaluation mode.
        slots: Environments served at once.
    """

    def __init__(self, policy: Policy, *, slots: int) -> None:
        self._policy = policy.eval()
        self._spec = policy.spec
        self.slots = slots
        self._device = policy.action_normalizer.scale.device
        features, history = self._spec.observations, policy.config.history
        self._history = {f.key: np.zeros((slots, history, *f.shape), np.float32) for f in features}
        self._valid = {f.key: np.zeros((slots, *f.shape), bool) for f in features}
        self._z = torch.zeros(slots, policy.task_encoder.width, device=self._device)
        self._actions = np.zeros(slots, np.int64)
        self._fresh = np.ones(slots, bool)

    def reset(self, row: int, z: Float[Tensor, " Z"], task: str) -> None:
        """Begin an episode of a task in a slot, conditioned on z."""
        position = self._spec.position(task)
        for feature in self._spec.observations:
            self._valid[feature.key][row] = self._spec.valid(feature)[position]
        self._actions[row] = self._spec.widths[self._spec.action.key][position]
        self._z[row] = z.detach()
        self._fresh[row] = True

    @torch.inference_mode()
    def act(self, observations: Sequence[Observation | None]) -> list[Float[np.ndarray, " A"] | None]:
        """One action for each slot that has an observation; None for those without.

        Raises:
            SimulatorError: An observation lacks a key that the policy needs, or has another size.
        """
        self._remember({row: observation for row, observation in enumerate(observations) if observation is not None})
        history = {key: torch.from_numpy(value).to(self._device) for key, value in self._history.items()}
        valid = {key: torch.from_numpy(value).to(self._device) for key, value in self._valid.items()}
        actions = self._policy.act(history, valid, self._z)[:, 0].float().cpu().numpy()
        return [
            None if observation is None else actions[row, : self._actions[row]].copy()
            for row, observation in enumerate(observations)
        ]

    def _remember(self, observations: Mapping[int, Observation]) -> None:
        rows = list(observations)
        for key, history in self._history.items():
            history[rows, :-1] = history[rows, 1:]
            for row, observation in observations.items():
                width = int(self._valid[key][row].sum())
                history[row, -1, :width] = _of_shape(observation, key, (width,))
        fresh = [row for row in rows if self._fresh[row]]
        for history in self._history.values():
            history[fresh] = history[fresh, -1:]
        self._fresh[rows] = False


def _of_shape(observation: Observation, key: str, shape: tuple[int, ...]) -> Shaped[np.ndarray, "..."]:
    found = observation.get(key)
    if found is None:
        raise SimulatorError(f"observation {key!r}: the policy needs it; the simulator gives {sorted(observation)}")
    if found.shape != shape:
        raise SimulatorError(f"observation {key!r}: the policy expects shape {shape}, found {found.shape}")
    return found
