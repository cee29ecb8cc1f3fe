import pytest

from mtil.evaluation.metrics import Outcome
from mtil.evaluation.progress import EpisodeProgress
from mtil.ranks import Rank


def test_progress_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with EpisodeProgress(total=2) as progress:
        progress(Outcome("push", 0, placement=0, told="push", success=True, length=3))
        progress(Outcome("push", 1, placement=0, told="push", success=False, length=3))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err
    assert "1 successes" in shown.err


def test_of_several_ranks_the_first_alone_shows_progress(capsys: pytest.CaptureFixture[str]) -> None:
    for rank in (Rank(0, 2), Rank(1, 2)):
        with EpisodeProgress(total=1, rank=rank) as progress:
            progress(Outcome("push", 0, placement=0, told="push", success=True, length=3))
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "rank 0 of 2 is evaluating" in shown.err
    assert "rank 1 of 2" not in shown.err
