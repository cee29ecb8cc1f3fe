"""What a dataset holds and everything that is wrong with it, for `mtil inspect`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mtil.data.defects import Defect, Note
from mtil.data.formats import surveys as surveys_of
from mtil.data.survey import Survey, conflicts
from mtil.types import FeatureSpec, Task


@dataclass(frozen=True)
class TaskSummary:
    """One file of a dataset.

    Attributes:
        task: Its task.
        demos: Number of demonstrations.
        steps: Steps of all of them together.
    """

    task: Task
    demos: int
    steps: int


@dataclass(frozen=True)
class Inspection:
    """What a dataset holds, as far as it could be read.

    Attributes:
        tasks: One summary per file.
        features: By key, the actions among them; where tasks differ in width, the widest.
        defects: Everything that is wrong; training refuses a dataset that has any.
        notes: Facts that are no defects.
    """

    tasks: tuple[TaskSummary, ...]
    features: Mapping[str, FeatureSpec]
    defects: tuple[Defect, ...]
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `mtil inspect --json` prints them."""
        return {
            "tasks": [
                {
                    "task": summary.task.name,
                    "instructions": list(summary.task.instructions),
                    "demos": summary.demos,
                    "steps": summary.steps,
                }
                for summary in self.tasks
            ],
            "features": {key: {"shape": list(spec.shape), "dtype": spec.dtype} for key, spec in self.features.items()},
            "defects": [asdict(defect) for defect in self.defects],
        }


def inspect(path: Path) -> Inspection:
    """Inspect a file or folder of demonstrations, whatever state it is in.

    Raises:
        DatasetError: There is no such path, or no file of demonstrations in it.
    """
    surveys = surveys_of(path, thorough=True)
    return Inspection(
        tasks=tuple(TaskSummary(each.task, len(each.lengths), sum(each.lengths.values())) for each in surveys),
        features=_features(surveys),
        defects=(*(defect for each in surveys for defect in each.defects), *conflicts(surveys)),
        notes=(*(note for each in surveys for note in each.notes), *_missing_states(surveys)),
    )


def _features(surveys: Sequence[Survey]) -> dict[str, FeatureSpec]:
    keys = dict.fromkeys(key for each in surveys for key in each.features)
    return {key: _widest([each.features[key] for each in surveys if key in each.features]) for key in keys}


def _widest(specs: Sequence[FeatureSpec]) -> FeatureSpec:
    return max(specs, key=lambda spec: np.prod(spec.shape))


def _missing_states(surveys: Sequence[Survey]) -> list[Note]:
    """States that some tasks lack: to be left out of `data.observations`."""
    every = dict.fromkeys(key for each in surveys for key, spec in each.features.items() if spec.kind == "state")
    return [
        Note(
            str(each.path),
            key,
            "not in this file, but in others; name the observations that all have in data.observations",
        )
        for each in surveys
        for key in every
        if each.features and key not in each.features
    ]
