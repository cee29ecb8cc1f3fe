"""Which sentences a policy fails at."""

from collections.abc import Iterable
from dataclasses import dataclass

from mtil.evaluation.metrics import Outcome


@dataclass(frozen=True)
class SentenceResult:
    """One sentence's row: the task that it told, and how many of the episodes that it told succeeded."""

    task: str
    sentence: str
    episodes: int
    successes: int


def failing_sentences(outcomes: Iterable[Outcome], *, limit: int = 10) -> list[SentenceResult]:
    """The sentences that fail most, those that never do left out; worst first: the rate decides, then the episodes."""
    told: dict[tuple[str, str], list[bool]] = {}
    for outcome in outcomes:
        told.setdefault((outcome.task, outcome.told), []).append(outcome.success)
    results = [SentenceResult(*key, episodes=len(row), successes=sum(row)) for key, row in told.items()]
    failing = [result for result in results if result.successes < result.episodes]
    return sorted(failing, key=lambda each: (each.successes / each.episodes, -each.episodes))[:limit]
