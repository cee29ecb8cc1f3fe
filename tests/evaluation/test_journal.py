"""What was noted is read again, whoever wrote it, and wherever it was cut off."""

from pathlib import Path

import pytest

from mtil.errors import OutputError
from mtil.evaluation.journal import Journal
from mtil.evaluation.metrics import Outcome
from mtil.ranks import ALONE, Rank

OUTCOMES = [
    Outcome(
        "near",
        episode,
        placement=10 + episode,
        told="viens à l'ombre, très vite",
        success=episode % 2 == 0,
        length=7,
        reruns=1,
    )
    for episode in range(4)
]


def write(result: Path, outcomes: list[Outcome], *, evaluation: str = "a", rank: Rank = ALONE) -> Path:
    with Journal(result, evaluation=evaluation, rank=rank) as journal:
        for outcome in outcomes:
            journal.add(outcome)
    return result.with_name(f".{result.name}.rank-{rank.index}-of-{rank.count}.journal")


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return tmp_path / "x[1].json"


def test_journals_of_any_number_of_ranks_are_read_together(result: Path) -> None:
    assert Journal(result, evaluation="a").outcomes() == []
    write(result, OUTCOMES[:1])
    write(result, OUTCOMES[1:2], rank=Rank(0, 2))
    write(result, OUTCOMES[2:], rank=Rank(1, 2))
    write(result, OUTCOMES[:2], rank=Rank(2, 3))
    assert Journal(result, evaluation="a").outcomes() == OUTCOMES


def test_a_journal_is_continued(result: Path) -> None:
    write(result, OUTCOMES[:2])
    write(result, OUTCOMES[2:])
    assert Journal(result, evaluation="a").outcomes() == OUTCOMES


def test_wherever_a_journal_is_cut_off_what_ended_before_is_there(result: Path) -> None:
    path = write(result, OUTCOMES[:3])
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        left = Journal(result, evaluation="a").outcomes()
        complete = max(0, whole[: end + 1].count(b"\n") - 1)  # without the head
        assert left == OUTCOMES[:complete]
        write(result, OUTCOMES[3:])
        assert Journal(result, evaluation="a").outcomes() == [*left, OUTCOMES[3]]


def test_other_evaluations_are_not_mistaken_for_this_one(result: Path) -> None:
    write(result, OUTCOMES[:2], evaluation="b")
    write(result.with_name("y.json"), OUTCOMES[:2])
    assert Journal(result, evaluation="a").outcomes() == []
    write(result, OUTCOMES[2:], evaluation="a")
    assert Journal(result, evaluation="a").outcomes() == OUTCOMES[2:]


def test_removed_are_those_of_all_ranks_but_of_this_result_alone(result: Path) -> None:
    write(result, OUTCOMES)
    write(result, OUTCOMES, rank=Rank(1, 2))
    other = write(result.with_name("y.json"), OUTCOMES)
    Journal(result, evaluation="a").remove()
    assert list(result.parent.iterdir()) == [other]


def test_a_journal_that_cannot_be_written_or_read(result: Path) -> None:
    path = write(result, [OUTCOMES[0]])
    path.unlink()
    path.mkdir()
    with pytest.raises(OutputError, match=r"rank-0-of-1\.journal: the journal cannot be read: Is a directory"):
        Journal(result, evaluation="a").outcomes()
    with pytest.raises(OutputError, match=r"nowhere/\.x\.json\.rank-0-of-1\.journal: the journal cannot be written"):
        write(result.parent / "nowhere" / "x.json", OUTCOMES)
