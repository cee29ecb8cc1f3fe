"""What a task's demonstrations are found to be on a walk through them, whatever their format."""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtil.data import cameras
from mtil.data.defects import ACTIONS, Defect, Note, outliers
from mtil.errors import DatasetError
from mtil.types import FeatureSpec, Task

_LONGEST = 80


@dataclass(frozen=True)
class Survey:
    """What one task's demonstrations hold, as far as they could be read.

    Attributes:
        path: The file or folder.
        task: The task.
        lengths: Steps by demonstration, in order.
        features: Observations by key, and the action under `ACTIONS`.
        masks: Names of demonstrations by filter key.
        env_args: What is told of the environment.
        defects: Everything that is wrong.
        notes: Facts that are no defects.
    """

    path: Path
    task: Task
    lengths: dict[str, int] = field(default_factory=dict)
    features: dict[str, FeatureSpec] = field(default_factory=dict)
    masks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    env_args: Mapping[str, Any] = field(default_factory=dict)
    defects: tuple[Defect, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def observations(self) -> dict[str, FeatureSpec]:
        """Observations by key."""
        return {key: spec for key, spec in self.features.items() if key != ACTIONS}

    def found(self) -> dict[str, Any]:
        """What was found without defects, by the names that `TaskDemos` has for it."""
        return {
            "path": self.path,
            "task": self.task,
            "demos": tuple(self.lengths),
            "lengths": tuple(self.lengths.values()),
            "observations": self.observations,
            "action": self.features[ACTIONS],
            "masks": self.masks,
            "env_args": self.env_args,
        }


def conflicts(surveys: Sequence[Survey]) -> list[Defect]:
    """What is wrong with tasks only when they stand together as one dataset."""
    found: list[Defect] = []
    holders: dict[str, Survey] = {}
    for each in surveys:
        holder = holders.setdefault(each.task.name, each)
        if holder is not each:
            message = f"expected one file per task, but {holder.path.name} holds task {each.task.name!r} already"
            found.append(Defect(str(each.path), None, None, message))
    for key in dict.fromkeys(key for each in surveys for key in each.features):
        specs = {str(each.path): each.features[key] for each in surveys if key in each.features}
        rule, odd = outliers(specs, _what_tasks_share)
        message = f"expected {describe(rule)} as in the other files"
        found += [Defect(path, None, key, f"{message}, found {describe(specs[path])}") for path in odd]
    return found


def describe(spec: FeatureSpec) -> str:
    """Words for what a feature is."""
    return f"{spec.kind} of shape {spec.shape}{cameras.describe(spec.camera)}"


def name_for(sentence: str) -> str:
    """The name of a task of which there is a sentence alone: its words in small letters, hyphens between them."""
    return "-".join(re.findall(r"[^\W_]+", sentence.lower()))[:_LONGEST].strip("-") or "task"


def refuse(defects: Sequence[Defect], *, hint: str) -> None:
    """Raise the first defect, if there is any.

    Args:
        defects: All of them.
        hint: Where to learn of the others, or what became of it.

    Raises:
        DatasetError: There is a defect.
    """
    if defects:
        more = f" (and {len(defects) - 1} more)" if len(defects) > 1 else ""
        raise DatasetError(f"{defects[0]}{more}; {hint}")


def _what_tasks_share(spec: FeatureSpec) -> Hashable:
    """States and actions of different width are padded; images are of one size, and show the same."""
    return (spec.kind, spec.shape, spec.camera) if spec.kind == "image" else spec.kind
