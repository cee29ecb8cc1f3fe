"""A walk through a Minari dataset (https://minari.farama.org, its HDF5 layout): what it holds, and what is wrong."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from mtil.data.defects import Findings, outliers
from mtil.data.minari.episodes import Recorded, check_episode
from mtil.data.survey import Survey, describe
from mtil.types import FeatureSpec, Task

DATA, METADATA = "data/main_data.hdf5", "data/metadata.json"

_EPISODE = re.compile(r"episode_(\d+)", re.ASCII)


@dataclass(frozen=True)
class MinariSurvey(Survey):
    """What a dataset holds, each of which is a task.

    Attributes:
        groups: Names of the episodes' groups, in order.
    """

    groups: tuple[str, ...] = field(default_factory=tuple)


def datasets(folder: Path) -> list[Path]:
    """The Minari datasets that a folder is, or that lie in it, one or two folders deeper."""
    places = (folder / DATA, *(path for depth in ("*", "*/*") for path in sorted(folder.glob(f"{depth}/{DATA}"))))
    return [path.parent.parent for path in places if path.is_file()]


def survey(folder: Path, *, thorough: bool = False) -> MinariSurvey:
    """Walk through a dataset, decoding its images if told to; never raises, whatever state it is in."""
    findings = Findings(str(folder))
    metadata = _metadata(folder, findings)
    recorded: dict[str, Recorded] = {}
    with findings.guard(DATA), h5py.File(folder / DATA, "r") as file:
        names = sorted(filter(_EPISODE.fullmatch, file), key=lambda name: int(name[8:]))
        for name in names:
            of_episode = findings.of(name)
            with of_episode.guard():
                group = file[name]
                assert isinstance(group, h5py.Group)
                recorded[name] = check_episode(group, of_episode, thorough=thorough)
        if not names:
            findings.add("holds no episodes: expected groups episode_0, episode_1, ...", DATA)
    task = Task(folder.resolve().name or "task")
    with findings.guard(METADATA):
        task = _task(folder, metadata)
    return MinariSurvey(
        path=folder,
        task=task,
        lengths={f"demo_{name[8:]}": each.steps for name, each in recorded.items()},
        features=_agreed(recorded, findings),
        env_args=_env_args(metadata, folder),
        defects=tuple(findings.defects),
        notes=tuple(findings.notes),
        groups=tuple(recorded),
    )


def _metadata(folder: Path, findings: Findings) -> dict[str, Any]:
    with findings.guard(METADATA):
        found = json.loads((folder / METADATA).read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
        findings.add(f"expected a JSON object, found {type(found).__name__}", METADATA)
    return {}


def _task(folder: Path, metadata: dict[str, Any]) -> Task:
    """A dataset's id, slashes within it becoming hyphens, and its description."""
    told = metadata.get("dataset_id")
    name = (told if isinstance(told, str) else folder.resolve().name).replace("/", "-")
    description = metadata.get("description")
    return Task(name or "task", (description,) if isinstance(description, str) and description.strip() else ())


def _env_args(metadata: dict[str, Any], folder: Path) -> dict[str, Any]:
    try:
        told = json.loads(metadata.get("env_spec") or "{}")
    except (TypeError, ValueError, RecursionError):
        told = {}
    told = told if isinstance(told, dict) else {}
    kwargs = told.get("kwargs")
    return {
        "env_name": str(told.get("id") or folder.resolve().name),
        "type": 2,
        "env_kwargs": kwargs if isinstance(kwargs, dict) else {},
    }


def _agreed(recorded: dict[str, Recorded], findings: Findings) -> dict[str, FeatureSpec]:
    """The features that most episodes have; finds the episodes that differ."""
    agreed: dict[str, FeatureSpec] = {}
    for key in dict.fromkeys(key for each in recorded.values() for key in each.features):
        specs = {name: each.features[key] for name, each in recorded.items() if key in each.features}
        agreed[key], odd = outliers(specs, lambda spec: (spec.kind, spec.shape))
        for name in odd:
            findings.of(name).add(f"expected {describe(agreed[key])}, found {describe(specs[name])}", key)
        for name in recorded.keys() - specs.keys() - {defect.demo for defect in findings.defects}:
            findings.of(name).add("missing, though other episodes have it", key)
    return agreed
