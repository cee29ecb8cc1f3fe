"""Which sentences a policy fails at, of those that it was trained with and of others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mtil.evaluation.metrics import EvaluationResult, MeanResult
from mtil.evaluation.sentences import SentenceResult, failing_sentences
from mtil.report.run import Run
from mtil.report.subject import Rates, Subject, rates


@dataclass(frozen=True)
class Sentences:
    """The sentences of an evaluation.

    Attributes:
        title: Whose, and which.
        failing: Those that failed at least once, worst first.
        count: How many there are in all.
        mean: Mean success over the tasks, where these are others than the training's.
        kept: The same as a share of that under the training's sentences.
    """

    title: str
    failing: Sequence[SentenceResult]
    count: int
    mean: MeanResult | None = None
    kept: float | None = None


def sentences(subject: Subject) -> list[Sentences]:
    """Those of the training, then those of other files; nothing for a policy that is not told in sentences."""
    if subject.runs[0].result.protocol.condition != "language":
        return []
    results = [run.result for run in subject.runs]
    return [_sentences(f"{subject.name}: the sentences of the training", results), *_rephrased(subject)]


def _rephrased(subject: Subject) -> list[Sentences]:
    files = dict.fromkeys(file for run in subject.runs for file in run.rephrased)
    return [_of_file(subject, file, [run for run in subject.runs if file in run.rephrased]) for file in files]


def _of_file(subject: Subject, file: str, runs: Sequence[Run]) -> Sentences:
    """The sentences of a file that these runs, perhaps not all of the subject's, were evaluated with."""
    some = f", {len(runs)} of {len(subject.runs)} seeds" if len(runs) < len(subject.runs) else ""
    results = [run.rephrased[file] for run in runs]
    trained, other = rates([run.result for run in runs]), rates(results)
    found = _sentences(f"{subject.name}: other sentences, {Path(file).name}{some}", results)
    return replace(found, mean=other.mean, kept=_kept(trained, other))


def _kept(trained: Rates, other: Rates) -> float | None:
    """The second's mean rate as a share of the first's in the same tasks; None where the first never succeeded."""
    rate = sum(trained.tasks[task].rate for task in other.tasks if task in trained.tasks)
    kept = sum(result.rate for task, result in other.tasks.items() if task in trained.tasks)
    return kept / rate if rate else None


def _sentences(title: str, results: Sequence[EvaluationResult]) -> Sentences:
    outcomes = [outcome for result in results for outcome in result.outcomes]
    count = len({(outcome.task, outcome.told) for outcome in outcomes})
    return Sentences(title, failing_sentences(outcomes, limit=count), count)
