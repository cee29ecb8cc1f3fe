"""What a policy does when it is told wrongly, or not at all: whether what it is told matters."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from mtil.evaluation.metrics import Control, TaskResult
from mtil.report.commands import evaluation_command
from mtil.report.subject import ArmsRow, Rates, Subject, rates

_ARMS: dict[Control, str] = {"wrong": "told another task", "absent": "told nothing"}
TOLD = "told its task"


@dataclass(frozen=True)
class ControlGroup:
    """Mean success of some tasks in each arm."""

    title: str
    tasks: int
    means: Mapping[str, float]


@dataclass(frozen=True)
class Controls:
    """The controls of a subject.

    Attributes:
        subject: Its name.
        arms: Names of what was compared: the policy told its task first.
        groups: Means over groups of tasks.
        rows: Every task that all arms were evaluated in, tasks of one object together.
        missing: Commands that make the controls that are not there.
    """

    subject: str
    arms: Sequence[str]
    groups: Sequence[ControlGroup]
    rows: Sequence[ArmsRow]
    missing: Sequence[str]

    def episodes(self, arm: str) -> int:
        """How many an arm's rates are of."""
        return sum(row.arms[arm].episodes for row in self.rows)


def controls(subject: Subject, untold: Sequence[Subject]) -> Controls:
    """Set a subject beside its controls.

    Args:
        subject: A policy that is told its task.
        untold: Policies that were trained without being told.
    """
    arms = {TOLD: subject.rates} | _evaluated(subject)
    if len(arms) > 1 or untold:
        arms |= {f"trained untold: {each.name}": each.rates for each in untold}
    common = sorted(set.intersection(*(set(each.tasks) for each in arms.values())))
    rows = [ArmsRow(task, {arm: each.tasks[task] for arm, each in arms.items()}) for task in common]
    return Controls(
        subject=subject.name,
        arms=list(arms),
        groups=_groups(rows, list(arms)),
        rows=rows if len(arms) > 1 else [],
        missing=_missing(subject),
    )


def _evaluated(subject: Subject) -> dict[str, Rates]:
    """The arms that every seed was evaluated in."""
    return {
        arm: rates([run.controls[control] for run in subject.runs])
        for control, arm in _ARMS.items()
        if all(control in run.controls for run in subject.runs)
    }


def _missing(subject: Subject) -> list[str]:
    return [
        f"{evaluation_command(run)} --control {control}"
        for run in subject.runs
        for control in _ARMS
        if control not in run.controls
    ]


def _groups(rows: Sequence[ArmsRow], arms: Sequence[str]) -> list[ControlGroup]:
    """All tasks; and those whose object other tasks share, where what is seen does not tell which one is meant."""
    objects = Counter(object_of(row.task) for row in rows)
    shared = [row for row in rows if objects[object_of(row.task)] > 1]
    alone = [row for row in rows if objects[object_of(row.task)] == 1]
    groups = {
        "all of these tasks": rows,
        "tasks whose object another shares": shared,
        "tasks with an object of their own": alone,
    }
    return [
        ControlGroup(title, len(each), {arm: _mean(row.arms[arm] for row in each) for arm in arms})
        for title, each in groups.items()
        if each
    ]


def object_of(task: str) -> str:
    """What a task is done to, by its name's first word: the `drawer` of `drawer-open-v3`."""
    return task.replace("_", "-").partition("-")[0]


def _mean(results: Iterable[TaskResult]) -> float:
    found = [result.rate for result in results]
    return sum(found) / len(found)
