from mtil.evaluation.metrics import Outcome
from mtil.evaluation.sentences import SentenceResult, failing_sentences


def outcomes(task: str, told: str, *, successes: int, episodes: int) -> list[Outcome]:
    return [Outcome(task, j, placement=j, told=told, success=j < successes, length=1) for j in range(episodes)]


def test_the_worst_come_first_and_those_that_never_fail_not_at_all() -> None:
    found = failing_sentences(
        [
            *outcomes("near", "come", successes=4, episodes=4),
            *outcomes("near", "go", successes=1, episodes=2),
            *outcomes("far", "go", successes=2, episodes=4),
            *outcomes("far", "leave", successes=0, episodes=1),
        ]
    )
    assert found == [
        SentenceResult("far", "leave", episodes=1, successes=0),
        SentenceResult("far", "go", episodes=4, successes=2),
        SentenceResult("near", "go", episodes=2, successes=1),
    ]


def test_no_more_than_asked_for() -> None:
    many = [each for word in range(30) for each in outcomes("near", f"{word}", successes=word, episodes=31)]
    assert [result.successes for result in failing_sentences(many)] == list(range(10))
