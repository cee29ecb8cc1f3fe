"""One policy told its tasks in different kinds of descriptor, at the same placements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, MeanResult, summary
from mtil.report.run import Run
from mtil.report.subject import ArmsRow, Subject, rates


@dataclass(frozen=True)
class Kinds:
    """How a subject was told, and what it made of that.

    Attributes:
        subject: Its name.
        means: Mean success over all tasks, by how it was told.
        rows: Every task.
    """

    subject: str
    means: Mapping[str, MeanResult]
    rows: Sequence[ArmsRow]


def kinds(subject: Subject) -> Kinds | None:
    """What a subject makes of each kind, that of the report first; None where it was told in one alone.

    Ways in which a seed was not told all tasks of the report, or in fewer or more episodes, are left out.
    """
    told = [_told(run) for run in subject.runs]
    ways = [each for each in told[0] if all(each in others for others in told)]
    if len(ways) < 2:
        return None
    found = {each: rates([results[each] for results in told]) for each in ways}
    return Kinds(
        subject=subject.name,
        means={each: found[each].mean for each in ways},
        rows=[ArmsRow(task, {each: found[each].tasks[task] for each in ways}) for task in subject.rates.tasks],
    )


def _told(run: Run) -> dict[str, EvaluationResult]:
    """A run's evaluations in the tasks and episodes of the report, by how it was told."""
    tasks, episodes = [task.task for task in run.result.tasks], run.result.protocol.episodes_per_task
    return {
        way(each.protocol): summary(each.protocol, [outcome for outcome in each.outcomes if outcome.task in tasks])
        for each in (run.result, *run.otherwise)
        if each.protocol.episodes_per_task == episodes and {*tasks} <= {task.task for task in each.tasks}
    }


def way(protocol: EvaluationProtocol) -> str:
    """How a policy was told, in a few words."""
    match protocol.condition:
        case "one_hot":
            return "by name"
        case "language":
            return "by a sentence"
        case "goal":
            return "given its goal"
        case "video":
            count = "a clip" if protocol.clips == 1 else f"{protocol.clips} clips"
            return f"shown {count}" if protocol.videos is None else f"shown {count} of {protocol.videos}"
        case other:
            return other
