"""What a report is about: a run, or several that differ in nothing but their seeds."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

from mtil.evaluation.comparison import pooled
from mtil.evaluation.metrics import EvaluationResult, MeanResult, TaskResult
from mtil.report.run import Run

_UNIMPORTANT = ("threads", "progress_bar", "wandb", "log_every", "validate_every", "checkpoint_every", "keep_every")


@dataclass(frozen=True)
class Rates:
    """Success of every task, by name, their mean, and the mean of each seed."""

    tasks: dict[str, TaskResult]
    mean: MeanResult
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class ArmsRow:
    """A task, and its success in each arm of a comparison."""

    task: str
    arms: Mapping[str, TaskResult]


@dataclass(frozen=True)
class Subject:
    """Runs that are seeds of one training, under a name of their own."""

    name: str
    runs: tuple[Run, ...]

    @property
    def told(self) -> bool:
        """Whether the policy is told its task at all."""
        return self.runs[0].told

    @cached_property
    def rates(self) -> Rates:
        """Success over all seeds."""
        return rates([run.result for run in self.runs])


def subjects(runs: Sequence[Run]) -> list[Subject]:
    """Runs together that are seeds of one training, in the order of their first; no two of them bear one name."""
    groups: list[list[Run]] = []
    for run in runs:
        same = next((group for group in groups if _training(group[0]) == _training(run)), None)
        if same is None:
            groups.append([run])
        else:
            same.append(run)
    names = [_name(group) for group in groups]
    return [
        Subject(name if names.count(name) == 1 else ", ".join(str(run.path) for run in group), tuple(group))
        for name, group in zip(names, groups, strict=True)
    ]


def rates(results: Sequence[EvaluationResult]) -> Rates:
    """Success over evaluations of several seeds of a training.

    Raises:
        CheckpointError: They are not of the same placements.
    """
    found = pooled(results)
    return Rates({task.task: task for task in found.tasks}, found.mean, found.seeds)


def _name(runs: Sequence[Run]) -> str:
    if len(runs) == 1:
        return runs[0].name
    common = _beginning([run.name for run in runs]).rstrip("-_.") or runs[0].name
    return f"{common} ({len(runs)} seeds)"


def _beginning(names: Sequence[str]) -> str:
    """What all names begin with."""
    return "".join(letters[0] for letters in takewhile(lambda each: len(set(each)) == 1, zip(*names, strict=False)))


def _training(run: Run) -> dict[str, Any]:
    """What makes a training what it is, beside its seed: its evaluation's protocol counts too."""
    found = deepcopy(run.config)
    found.pop("seed", None)
    if collection := found.get("collection"):
        collection.pop("seed", None)
        found.get("data", {}).pop("path", None)  # where demonstrations of another seed lie
    for key in _UNIMPORTANT:
        found.get("trainer", {}).pop(key, None)
    protocol, tasks = run.result.protocol, [task.task for task in run.result.tasks]
    keys = ("suite", "suite_digest", "seed", "episodes_per_task", "condition", "step")
    return found | {"evaluated": [tasks, *(getattr(protocol, key) for key in keys)]}
