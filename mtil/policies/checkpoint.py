"""Policies on disk, found and loaded: runs, checkpoints, exports. Nothing is unpickled.

A run directory holds `checkpoints/last.ckpt`; a checkpoint holds the averaged weights under `state_dict`, as Lightning
writes them, and a `Card` in plain JSON types. For exports see `export`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from mtil.errors import CheckpointError, HubError
from mtil.hub.fetching import fetch
from mtil.hub.names import nowhere, on_hub
from mtil.policies.card import Card
from mtil.policies.export import FILES, TRAINING, WEIGHTS, read_export
from mtil.policies.policy import Policy

CARD = "mtil"
LAST = Path("checkpoints", "last.ckpt")  # in a run directory
_PREFIX = "policy."


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy read from disk.

    Attributes:
        policy: With its averaged weights, in evaluation mode.
        card: What it is.
        path: The checkpoint that it came from, or the weights of an export.
        step: Optimiser steps that it was trained for.
    """

    policy: Policy
    card: Card
    path: Path
    step: int

    @property
    def training(self) -> Path | None:
        """The configuration that it was trained with, if that was kept."""
        folder = self.path.parent if self.path.name == WEIGHTS else self.run
        return folder / TRAINING if folder is not None and (folder / TRAINING).is_file() else None

    @property
    def run(self) -> Path | None:
        """The run directory that the checkpoint is in, if it is in one."""
        folder = self.path.parent
        return folder.parent if folder.name == LAST.parent.name else None


def find_checkpoint(path: Path) -> Path:
    """The checkpoint of a run directory (its last), the weights of an export, here or on the Hub, or the file itself.

    Raises:
        CheckpointError: There is none.
    """
    if (found := _present(path)) is not None:
        return found
    if path.is_dir():
        raise CheckpointError(
            f"{path}: no {LAST} and no {WEIGHTS} in it; expected a run directory, an export or a .ckpt file"
        )
    name = on_hub(path)
    if name is None:
        raise CheckpointError(nowhere(path, expected="run directory, export or checkpoint", kind="model"))
    try:
        folder = fetch(name, kind="model", files=FILES)
    except HubError as error:
        hint = "give a run directory, an export or a checkpoint that is here"
        raise CheckpointError(f"{error}; {hint}") from None
    if not (folder / WEIGHTS).is_file():
        raise CheckpointError(f"{path}: on the Hub, but no exported policy: expected {WEIGHTS} in it, found none")
    return folder / WEIGHTS


def holds_policy(path: Path) -> bool:
    """Whether a path is a run directory, an export or a checkpoint that is here."""
    found = _present(path)
    return found is not None and found.suffix in (LAST.suffix, Path(WEIGHTS).suffix)


def _present(path: Path) -> Path | None:
    if path.is_file():
        return path
    return next((path / name for name in (LAST, WEIGHTS) if (path / name).is_file()), None)


def load_policy(path: Path) -> LoadedPolicy:
    """The policy of a run directory, a checkpoint or an export.

    Raises:
        CheckpointError: There is none, it is damaged, or it is no policy's.
    """
    file = find_checkpoint(path)
    card, step, weights = read_export(file.parent) if file.name == WEIGHTS else _read(file)
    try:
        policy = Policy.from_state(card.config, card.spec, weights).eval()
    except CheckpointError as error:
        raise CheckpointError(f"{file}: {error}") from None
    return LoadedPolicy(policy, card, file, step)


def _read(file: Path) -> tuple[Card, int, Mapping[str, Tensor]]:
    """What a checkpoint holds: card, step and weights."""
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file makes the reader fail in many ways
        problem = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{file}: damaged, or no checkpoint: {problem}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{file}: expected a checkpoint, found a {type(found).__name__}")
    try:
        card, step, state = Card.from_json(found[CARD]), found["global_step"], found["state_dict"]
    except (KeyError, TypeError, ValueError) as error:
        problem = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{file}: a checkpoint, but not of an mtil policy: {problem}") from None
    return card, step, {n.removeprefix(_PREFIX): tensor for n, tensor in state.items() if n.startswith(_PREFIX)}
