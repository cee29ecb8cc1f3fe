"""The same policy in other simulators than that of the report, where it learned from several datasets."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.subject import Rates, Subject, rates


@dataclass(frozen=True)
class Elsewhere:
    """What a subject makes of the tasks of another simulator.

    Attributes:
        subject: Its name.
        suite: That of the simulator.
        episodes: Of each task and seed.
        rates: Success.
    """

    subject: str
    suite: str
    episodes: int
    rates: Rates


def elsewhere(subject: Subject) -> list[Elsewhere]:
    """A subject's success in other simulators, by suite; those that all its seeds were evaluated in alike."""
    found = [{each.protocol.suite: each for each in run.elsewhere} for run in subject.runs]
    suites = [suite for suite in found[0] if all(suite in others for others in found)]
    results = {suite: [each[suite] for each in found] for suite in suites}
    return [
        Elsewhere(subject.name, suite, each[0].protocol.episodes_per_task, rates(each))
        for suite, each in results.items()
        if len(set(map(_placements, each))) == 1
    ]


def _placements(result: EvaluationResult) -> Sequence[object]:
    how = result.protocol
    return how.suite_digest, how.seed, how.episodes_per_task, *(task.task for task in result.tasks)
