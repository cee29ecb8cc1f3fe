import re
from collections import Counter
from collections.abc import Callable
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mtil.cli import app
from mtil.errors import OutputError
from mtil.evaluation.metrics import EvaluationResult
from mtil.report.page import write_report
from mtil.report.run import read_run


class Elements(HTMLParser):
    """Tags, with their attributes, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def text(make_run: Callable[..., Path], film: Callable[[Path], None], tmp_path: Path) -> str:
    run = make_run()
    film(run / "evaluation" / "films" / "plain" / "drawer-open-1.mp4")
    write_report([run], tmp_path / "report.html", count=4)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_numbers_are_those_of_the_result(text: str, tmp_path: Path) -> None:
    result = read_run(tmp_path / "run").result
    for task in result.tasks:
        (row,) = re.findall(
            rf'<tr>\s*<th scope="row" data-value="{re.escape(escape(task.task, quote=False))}.*?</tr>',
            unquoted(text),
            re.S,
        )
        for number in (task.rate, task.low, task.high):
            assert f"{100 * number:.1f}" in row
        assert f"{task.successes}/{task.episodes}" in row
        assert f"{task.mean_length:.1f}" in row
    assert f"{100 * result.mean.rate:.1f}<small>%</small>" in text
    assert f"95% interval {100 * result.mean.low:.1f}" in text


def test_every_failed_episode_is_there(text: str, tmp_path: Path) -> None:
    failed = [each for each in read_run(tmp_path / "run").result.outcomes if not each.success]
    browser = text.partition('id="failed"')[2].partition("that succeeded, to compare with")[0]
    cards = [attributes["data-task"] for tag, attributes in Elements(browser).found if tag == "article"]
    assert Counter(cards) == Counter(each.task for each in failed)
    for outcome in failed:
        assert f"placement {outcome.placement}" in text


def test_it_needs_nothing_else(text: str) -> None:
    assert "http://" not in text
    assert "https://" not in text
    for tag, attributes in Elements(text).found:
        assert tag not in ("iframe", "object", "embed", "base")
        for name in ("src", "href", "srcset", "action", "poster"):
            assert (attributes.get(name) or "#").startswith(("#", "data:"))
    assert "@import" not in text
    assert "url(" not in text


def test_what_comes_from_files_is_escaped(text: str) -> None:
    assert "alert('drawer')" not in re.sub(r"&lt;script&gt;.*?&lt;/script&gt;", "", text)
    assert [tag for tag, _ in Elements(text).found].count("script") == 1
    assert "<script>alert('drawer')</script>" in unescape(text)


def test_films_are_in_it(text: str) -> None:
    films = [attributes["src"] or "" for tag, attributes in Elements(text).found if tag == "video"]
    assert [film.startswith("data:video/mp4;base64,") for film in films] == [True]


def test_without_log_controls_or_failures(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult], tmp_path: Path
) -> None:
    run = make_run(results={"a": make_result(won=(4, 4, 4))})
    (run / "metrics.csv").unlink()
    write_report([run], tmp_path / "report.html", count=0)
    text = (tmp_path / "report.html").read_text()
    for words in ("No episode failed.", "no metrics.csv", "--control wrong", "--control absent"):
        assert words in text


def test_several_runs_side_by_side(make_run: Callable[..., Path], tmp_path: Path) -> None:
    runs = [make_run("a-0"), make_run("a-1", seed=1), make_run("b", kind="one_hot")]
    write_report(runs, tmp_path / "report.html", count=0)
    text = (tmp_path / "report.html").read_text()
    assert [text.count(f"</span>{name}") for name in ("a (2 seeds)", "b")] == [2, 2]
    assert "16 of 24 episodes" in text


def test_a_place_that_cannot_be_written_to_is_told_before_filming(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult], tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    run = make_run(results={"a": make_result(suite="gone")})  # nothing can be filmed in it
    with pytest.raises(OutputError, match=r"report\.html: the report cannot be written"):
        write_report([run], tmp_path / "file" / "report.html", count=1)


def test_the_command_writes_into_the_run(make_run: Callable[..., Path], tmp_path: Path) -> None:
    first, second = make_run("a"), make_run("b", kind="one_hot")
    done = CliRunner().invoke(app, ["report", str(first), "--films", "0"])
    assert (done.exit_code, done.output) == (0, f"report: {first / 'report.html'}\n")
    assert (first / "report.html").exists()
    assert CliRunner().invoke(app, ["report", str(first), str(second)]).exit_code == 2


def unquoted(text: str) -> str:
    """With quotation marks in text as they are."""
    return text.replace("&#39;", "'").replace("&#34;", '"')


def test_seeds_have_one_protocol(make_run: Callable[..., Path], tmp_path: Path) -> None:
    write_report([make_run("bc-0"), make_run("bc-1", seed=1)], tmp_path / "report.html", count=0)
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text.count("Success rule: ") == 1
    assert "Intervals: over placements, and over the 2 seeds of the training." in text
    assert "seeds 66.7, 66.7" in text


def test_kinds_stand_side_by_side(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult], tmp_path: Path
) -> None:
    results = {"told": make_result(), "shown": make_result(won=(2, 0, 1), condition="video", clips=3)}
    write_report([make_run(results=results)], tmp_path / "report.html", count=0)
    section = (
        (tmp_path / "report.html").read_text(encoding="utf-8").partition('id="kinds"')[2].partition("</section>")[0]
    )
    for told, rate in (("by a sentence", "66.7"), ("shown 3 clips", "25.0")):
        assert re.search(rf"{told}</th>.*?{rate}", section, re.S)
