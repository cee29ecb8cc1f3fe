"""The configuration of a fine-tuning: what a policy was trained with, changed to start from it on other data."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mtil.config import dump, load, read
from mtil.policies.checkpoint import LoadedPolicy, load_policy
from mtil.training.config import ExperimentConfig

FINETUNING: dict[str, dict[str, Any]] = {
    "optimizer": {"learning_rate": 3e-4, "warmup_steps": 100},
    "trainer": {"max_steps": 2_000, "validate_every": 500, "keep_every": None},
}
"""What is otherwise than when the policy was trained, unless it is asked for."""


def finetuning(policy: Path, data: Path, overrides: Iterable[str] = ()) -> ExperimentConfig:
    """The configuration that fine-tunes a policy on demonstrations.

    Args:
        policy: A run directory, a checkpoint, an export, or the id of an export on the Hub.
        data: A file or folder of demonstrations.
        overrides: `key.path=value` each.

    Raises:
        CheckpointError: No policy is there.
        ConfigError: A key or value does not fit.
    """
    loaded = load_policy(policy)
    values = _trained_with(loaded) | {
        "start": {"policy": str(policy)},
        "suite": loaded.card.suite,
        "collection": None,
        "policy": loaded.card.config.model_dump(mode="json"),
    }
    none = dict.fromkeys(("tasks", "rehearsal", "train_mask", "validation_mask"))
    values["data"] |= {"path": str(data), "mixture": (), "stream": None, **none}
    overrides = list(overrides)
    if any(override.startswith("data.stream") for override in overrides):
        values["data"].pop("validation_fraction", None)  # which streams have no use for
    for section, changes in FINETUNING.items():
        values[section] = values.get(section, {}) | changes
    return load(ExperimentConfig, dump(ExperimentConfig.model_validate(values)), overrides, source=str(policy))


def _trained_with(loaded: LoadedPolicy) -> dict[str, Any]:
    """What the policy was trained with, if that was kept; else what it says of the data that it needs."""
    if loaded.training is not None:
        values = read(ExperimentConfig, loaded.training).model_dump(mode="json")
        values["data"]["observations"] = [feature.key for feature in loaded.card.spec.observations]
        values["data"]["sampling"] |= {"weights": None} if "weights" in values["data"]["sampling"] else {}
        return values
    return {"data": _needed(loaded)}


def _needed(loaded: LoadedPolicy) -> dict[str, Any]:
    spec = loaded.card.spec
    needed: dict[str, Any] = {
        "path": ".",
        "observations": [feature.key for feature in spec.observations],
        "targets": [feature.key for feature in spec.targets],
    }
    scaled = [feature.shape[0] for feature in spec.observations if feature.scaled]
    if scaled:
        needed["image_size"] = scaled[0]
    if spec.clip is not None:
        needed["clips"] = {"images": spec.clip.key, "size": min(spec.clip.shape[:2])}
    if spec.goal:
        needed["goals"] = {"space": [feature.key for feature in spec.goal]}
    return needed
