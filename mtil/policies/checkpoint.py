"""Policies on disk: what is kept beside the weights, and how a policy is loaded. Nothing is unpickled.

A run directory holds `checkpoints/last.ckpt`; a checkpoint holds the averaged weights under `state_dict`, as Lightning
writes them, and a `Card` in plain JSON types.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mtil import __version__
from mtil.errors import CheckpointError
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.types import DatasetSpec

CARD = "mtil"
LAST = Path("checkpoints", "last.ckpt")  # in a run directory
_PREFIX = "policy."


@dataclass(frozen=True)
class Card:
    """What a policy is, beside its weights.

    Attributes:
        config: Architecture.
        spec: Vocabulary and features.
        suite: The simulator that its tasks live in, if any.
    """

    config: PolicyConfig
    spec: DatasetSpec
    suite: str | None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "version": __version__,
            "config": self.config.model_dump(mode="json"),
            "spec": self.spec.to_json(),
            "suite": self.suite,
        }

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "Card":
        """The inverse of `to_json`."""
        config = PolicyConfig.model_validate(values["config"])
        return Card(config, DatasetSpec.from_json(values["spec"]), values["suite"])


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy read from disk.

    Attributes:
        policy: With its averaged weights, in evaluation mode.
        card: What it is.
        path: The checkpoint that it came from.
        step: Optimiser steps that it was trained for.
    """

    policy: Policy
    card: Card
    path: Path
    step: int

    @property
    def run(self) -> Path | None:
        """The run directory that the checkpoint is in, if it is in one."""
        folder = self.path.parent
        return folder.parent if folder.name == LAST.parent.name else None


def find_checkpoint(path: Path) -> Path:
    """The checkpoint of a run directory (its last), or the file itself.

    Raises:
        CheckpointError: There is none.
    """
    if path.is_file():
        return path
    last = path / LAST
    if last.is_file():
        return last
    if path.is_dir():
        raise CheckpointError(f"{path}: no {LAST} in it; expected a run directory or a .ckpt file")
    raise CheckpointError(f"{path}: no such run directory or checkpoint")


def load_policy(path: Path) -> LoadedPolicy:
    """The policy of a run directory or checkpoint.

    Raises:
        CheckpointError: There is no checkpoint, it is damaged, or it is no policy's.
    """
    file = find_checkpoint(path)
    checkpoint = _read(file)
    try:
        card = Card.from_json(checkpoint[CARD])
        state, step = checkpoint["state_dict"], checkpoint["global_step"]
    except (KeyError, TypeError, ValueError) as error:
        problem = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{file}: a checkpoint, but not of an mtil policy: {problem}") from None
    weights = {name.removeprefix(_PREFIX): tensor for name, tensor in state.items() if name.startswith(_PREFIX)}
    try:
        policy = Policy.from_state(card.config, card.spec, weights).eval()
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None
    return LoadedPolicy(policy, card, file, step)


def _read(file: Path) -> Mapping[str, Any]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader fail in many ways
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{file}: damaged, or no checkpoint: {problem}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{file}: expected a checkpoint, found a {type(found).__name__}")
    return found
