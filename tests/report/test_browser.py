"""The page in a real browser."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chromium import Chromium

from mtil.evaluation.metrics import EvaluationResult
from mtil.policies.checkpoint import LoadedPolicy
from mtil.report.page import page as page_of
from mtil.report.page import render, write_report
from mtil.report.run import read_run
from mtil.types import Task


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with Chromium() as browser:
        yield browser


@pytest.fixture
def page(
    make_run: Callable[..., Path],
    make_result: Callable[..., EvaluationResult],
    film: Callable[[Path], None],
    tmp_path: Path,
) -> Path:
    results = {"plain": make_result(), "wrong": make_result(won=(0, 0, 2), control="wrong")}
    run = make_run("a-run-with-a-name-that-is-longer-than-any-telephone-is-wide-" * 2, results=results)
    film(run / "evaluation" / "films" / "plain" / "drawer-open-1.mp4")
    write_report([run], tmp_path / "report.html", count=4)
    return tmp_path / "report.html"


def column(browser: Chromium, index: int) -> list[str]:
    return browser.run(
        f"[...document.querySelectorAll('.success tbody tr')].map(row => row.cells[{index}].dataset.value)"
    )


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1280, 390, 320])
def test_it_fits_and_asks_for_nothing(browser: Chromium, page: Path, width: int, dark: bool) -> None:
    browser.requests.clear()
    browser.open(page, width=width, dark=dark)
    browser.run("document.querySelectorAll('details').forEach(each => each.open = true)")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert browser.run("innerWidth") == width
    assert [each for each in browser.requests if not each.startswith(("data:", "blob:"))] == [page.as_uri()]
    assert browser.complaints == []
    paper = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, paper[4:-1].split(","))) < 384) == dark


@pytest.mark.parametrize("tasks", [10, 50])
def test_embeddings_fit(
    browser: Chromium,
    make_run: Callable[..., Path],
    untrained: Callable[..., LoadedPolicy],
    tmp_path: Path,
    tasks: int,
) -> None:
    """The narrowest telephone, and every mark of the map within its frame."""
    encoder = {"kind": "multimodal", "one_hot": {"width": 8}, "language": {"width": 8}}
    policy = untrained(encoder, [Task(f"a-task-of-a-long-name-v{i}", (f"do {i}", f"try {i}")) for i in range(tasks)])
    path = tmp_path / "report.html"
    path.write_text(render(page_of([replace(read_run(make_run()), policy=policy)], count=0)), encoding="utf-8")
    browser.open(path, width=320)
    assert browser.run("document.documentElement.scrollWidth") <= 320
    assert browser.complaints == []
    inside = """(() => {
        const frame = document.querySelector(".map > svg").getBoundingClientRect();
        return [...document.querySelectorAll(".mark")].map(each => each.getBoundingClientRect()).filter(each =>
            each.left >= frame.left && each.right <= frame.right && each.top >= frame.top && each.bottom <= frame.bottom
        ).length;
    })()"""
    assert browser.run(inside) == 3 * tasks


def test_links_lead_to_their_sections(browser: Chromium, page: Path) -> None:
    browser.open(page, width=390)
    browser.run("document.documentElement.style.scrollBehavior = 'auto'")
    for section in ("controls", "curves", "failures"):
        browser.run(f"document.querySelector('nav a[href=\"#{section}\"]').click()")
        assert 0 <= browser.run(f"document.getElementById('{section}').getBoundingClientRect().top") < 100


def test_headings_sort(browser: Chromium, page: Path) -> None:
    browser.open(page, width=1280)
    rates = [float(value) for value in column(browser, 2)]
    assert rates == sorted(rates)
    press = "document.querySelectorAll('.success thead button')[{}].click()"
    browser.run(press.format(1))
    assert [float(value) for value in column(browser, 2)] == rates[::-1]
    browser.run(press.format(0))
    assert column(browser, 0)[-2:] == ["drawer-close", "drawer-open"]
    browser.run(press.format(0))
    assert column(browser, 0)[:2] == ["drawer-open", "drawer-close"]


def test_failures_can_be_filtered(browser: Chromium, page: Path) -> None:
    browser.open(page, width=1280)
    shown = "[...document.querySelectorAll('#failed .episode')].filter(each => each.checkVisibility()).length"
    choose = "task.value = '{}', task.dispatchEvent(new Event('change'))"
    assert browser.run(shown) == 4
    browser.run(choose.format("drawer-open"))
    assert browser.run(shown) == 3
    assert browser.run("document.getElementById('shown').textContent") == "3 shown"
    browser.run(choose.format(""))
    assert browser.run(shown) == 4


def test_a_film_plays(browser: Chromium, page: Path) -> None:
    browser.open(page, width=390)
    browser.run("document.querySelector('video').scrollIntoView()")
    assert browser.run(
        "document.querySelector('video').play().then(() => document.querySelector('video').duration)"
    ) == pytest.approx(0.5)
    assert browser.run("document.querySelector('video').readyState") >= 2


def test_commands_are_copied(browser: Chromium, page: Path) -> None:
    browser.open(page, width=1280)
    browser.run("document.querySelector('#failed .copy').click()")
    assert "--replay" in browser.run("getSelection().toString()")
