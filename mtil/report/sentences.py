"""Which sentences a policy fails at, of those that it was trained with and of others."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.sentences import SentenceResult, failing_sentences
from mtil.report.subject import Rates, Subject, rates


@dataclass(frozen=True)
class Sentences:
    """The sentences of an evaluation.

    Attributes:
        title: Whose, and which.
        failing: Those that failed at least once, worst first.
        count: How many there are in all.
        kept: Success as a share of that under the training's sentences, where these are others.
    """

    title: str
    failing: Sequence[SentenceResult]
    count: int
    kept: float | None = None


def sentences(subject: Subject) -> list[Sentences]:
    """Those of the training, then those of other files; nothing for a policy that is not told in sentences."""
    if subject.runs[0].result.protocol.condition != "language":
        return []
    results = [run.result for run in subject.runs]
    return [_sentences(f"{subject.name}: the sentences of the training", results), *_rephrased(subject)]


def _rephrased(subject: Subject) -> list[Sentences]:
    files: dict[str, list[EvaluationResult]] = defaultdict(list)
    for result in (each for run in subject.runs for each in run.rephrased):
        files[result.protocol.instructions or ""].append(result)
    return [
        _sentences(f"{subject.name}: other sentences, {Path(file).name}", results, _kept(subject.rates, rates(results)))
        for file, results in files.items()
    ]


def _kept(trained: Rates, other: Rates) -> float | None:
    """The second's mean rate as a share of the first's in the same tasks; None where the first never succeeded."""
    rate = sum(trained.tasks[task].rate for task in other.tasks if task in trained.tasks)
    kept = sum(result.rate for task, result in other.tasks.items() if task in trained.tasks)
    return kept / rate if rate else None


def _sentences(title: str, results: Sequence[EvaluationResult], kept: float | None = None) -> Sentences:
    outcomes = [outcome for result in results for outcome in result.outcomes]
    count = len({(outcome.task, outcome.told) for outcome in outcomes})
    return Sentences(title, failing_sentences(outcomes, limit=count), count, kept)
