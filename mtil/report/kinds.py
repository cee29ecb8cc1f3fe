"""One policy told its tasks in different kinds of descriptor, at the same placements."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtil.evaluation.metrics import EvaluationProtocol, MeanResult, TaskResult
from mtil.report.subject import Subject, rates


@dataclass(frozen=True)
class KindsRow:
    """A task, and its success by how the policy was told it."""

    task: str
    told: Mapping[str, TaskResult]


@dataclass(frozen=True)
class Kinds:
    """How a subject was told, and what it made of that.

    Attributes:
        subject: Its name.
        means: Mean success by how it was told, over the tasks that it was evaluated in so.
        tasks: How many these are.
        rows: Every task that it was told in all these ways.
    """

    subject: str
    means: Mapping[str, MeanResult]
    tasks: Mapping[str, int]
    rows: Sequence[KindsRow]


def kinds(subject: Subject) -> Kinds | None:
    """What a subject makes of each kind, that of the report first; None where it was told in one alone.

    Of several seeds, ways in which not all were told are left out.
    """
    by_way = [{way(result.protocol): result for result in (run.result, *run.otherwise)} for run in subject.runs]
    ways = [each for each in by_way[0] if all(each in others for others in by_way)]
    if len(ways) < 2:
        return None
    found = {each: rates([results[each] for results in by_way]) for each in ways}
    common = set.intersection(*(set(each.tasks) for each in found.values()))
    ordered = [task for task in found[ways[0]].tasks if task in common]
    return Kinds(
        subject=subject.name,
        means={each: found[each].mean for each in ways},
        tasks={each: len(found[each].tasks) for each in ways},
        rows=[KindsRow(task, {each: found[each].tasks[task] for each in ways}) for task in ordered],
    )


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
