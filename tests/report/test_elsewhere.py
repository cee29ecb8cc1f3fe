"""A policy that was evaluated in several simulators."""

from collections.abc import Callable
from pathlib import Path

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.elsewhere import elsewhere
from mtil.report.page import page, render
from mtil.report.run import read_run
from mtil.report.subject import subjects

Result = Callable[..., EvaluationResult]
OTHER = {"tasks": ("FetchReach", "FetchPush"), "suite": "fetch", "success": "reached"}


def test_it_is_told_beside_the_runs_own(make_run: Callable[..., Path], make_result: Result) -> None:
    """However many episodes there were elsewhere."""
    more = make_result(tasks=("a", "b", "c", "d"), won=(4,) * 4, suite="another")
    results = {
        "own": make_result(),
        "fetch": make_result(won=(4, 2), **OTHER),
        "fetch-wrong": make_result(won=(0, 0), control="wrong", **OTHER),
        "fetch-before": make_result(won=(0, 0), step=20, weights="then", **OTHER),
        "more": more,
    }
    run = read_run(make_run(results=results))
    assert run.result == results["own"]
    another, fetch = elsewhere(subjects([run])[0])
    assert (another.suite, another.rates.mean.rate) == ("another", 1.0)
    assert (fetch.suite, fetch.episodes, fetch.rates.mean.rate) == ("fetch", 4, 0.75)
    assert {task: each.successes for task, each in fetch.rates.tasks.items()} == {"FetchReach": 4, "FetchPush": 2}
    text = render(page([run], count=0))
    assert 'href="#elsewhere"' in text
    assert "fetch: 75.0%" in text


def test_of_seeds_all_must_have_been_evaluated_alike(make_run: Callable[..., Path], make_result: Result) -> None:
    runs = []
    for seed in (0, 1):
        name = f"run-{seed}"
        there = make_result(name, won=(4, seed), **OTHER)
        differing = make_result(name, tasks=("x",), won=(4,), suite="another", seed=seed)
        runs.append(
            read_run(make_run(name, seed=seed, results={"own": make_result(name), "fetch": there, "x": differing}))
        )
    (subject,) = subjects(runs)
    (found,) = elsewhere(subject)
    assert (found.suite, found.rates.mean.rate) == ("fetch", (1 + 1 / 8) / 2)


def test_evaluated_only_elsewhere_that_is_what_it_is_about(make_run: Callable[..., Path], make_result: Result) -> None:
    run = read_run(make_run(results={"fetch": make_result(won=(4, 2), **OTHER)}))
    assert (run.result.protocol.suite, run.elsewhere) == ("fetch", ())
    assert 'id="elsewhere"' not in render(page([run], count=0))
