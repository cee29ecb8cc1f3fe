"""Policies to pass on: a folder of `config.json`, `model.safetensors` and a model card. Nothing is pickled.

`config.json` tells what the policy is, and the SHA-256 of its weights: an export that was damaged or tampered with is
not loaded.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from mtil import __version__
from mtil.errors import CheckpointError, OutputError
from mtil.policies.card import Card
from mtil.policies.model_card import model_card

CONFIG, WEIGHTS, MODEL_CARD = "config.json", "model.safetensors", "README.md"
TRAINING = "config.yaml"  # what it was trained with, as in a run directory
FILES = (CONFIG, WEIGHTS, TRAINING, MODEL_CARD)
FORMAT = 1  # of exports; to be raised when one that is written can no longer be read by an earlier version


def write_export(
    folder: Path,
    *,
    card: Card,
    state: Mapping[str, Tensor],
    step: int = 0,
    success: str | None = None,
    training: str | None = None,
    name: str | None = None,
) -> None:
    """Write an export; the folder is there whole, or not at all.

    Args:
        folder: Where to; it must not exist, or be empty.
        card: What the policy is.
        state: Its weights.
        step: Optimiser steps that it was trained for.
        success: How often it succeeds, in Markdown, for the model card.
        training: The configuration that it was trained with, in YAML, from which it can be fine-tuned.
        name: What the model card calls it; None: as the folder.

    Raises:
        OutputError: The folder is taken, or cannot be written.
    """
    weights = safetensors.torch.save(
        {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
    )
    described = {
        "format": FORMAT,
        **card.to_json(),
        "step": step,
        "sha256": {WEIGHTS: hashlib.sha256(weights).hexdigest()},
    }
    with _whole(folder) as partial:
        (partial / WEIGHTS).write_bytes(weights)
        (partial / CONFIG).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
        text = model_card(name or folder.resolve().name, card, step=step, success=success)
        (partial / MODEL_CARD).write_text(text, encoding="utf-8")
        if training is not None:
            (partial / TRAINING).write_text(training, encoding="utf-8")


def read_export(folder: Path) -> tuple[Card, int, Mapping[str, Tensor]]:
    """What an export holds: card, step and weights.

    Raises:
        CheckpointError: A file is missing, damaged, tampered with, or of a later format.
    """
    card, step, expected = _described(folder / CONFIG)
    weights = _bytes(folder / WEIGHTS)
    found = hashlib.sha256(weights).hexdigest()
    if found != expected:
        raise CheckpointError(
            f"{folder / WEIGHTS}: damaged, or not what was exported: expected SHA-256 {expected}, as {CONFIG} says, "
            f"found {found} of {len(weights):,} bytes"
        )
    try:
        return card, step, safetensors.torch.load(weights)
    except SafetensorError as error:
        raise CheckpointError(f"{folder / WEIGHTS}: no safetensors file: {error}") from None


def _described(file: Path) -> tuple[Card, int, str]:
    try:
        values = json.loads(_bytes(file))
        if values["format"] > FORMAT:
            raise CheckpointError(
                f"{file}: written by mtil {values['version']} in format {values['format']}; this version, "
                f"{__version__}, reads up to {FORMAT}"
            )
        return Card.from_json(values), int(values["step"]), str(values["sha256"][WEIGHTS])
    except (KeyError, TypeError, ValueError) as error:
        problem = " ".join(f"{type(error).__name__} {error}".split())
        raise CheckpointError(f"{file}: damaged, or not of an exported mtil policy: {problem}") from None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file}: cannot be read: {error.strerror}; expected {CONFIG} and {WEIGHTS}") from None


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A hidden folder to write to, which takes the place of `folder` if the block ends well."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder}: exists already; choose another folder")
    partial = folder.with_name(f".{folder.name}.partial")
    try:
        rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        yield partial
        partial.replace(folder)
    except OSError as error:
        raise OutputError(f"{folder}: the export cannot be written: {error.strerror}") from None
    finally:
        rmtree(partial, ignore_errors=True)
