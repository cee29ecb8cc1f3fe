"""The embeddings of policies in a report; of clips, see `tests/test_showing.py`."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from mtil.encoders.one_hot import OneHotEncoder
from mtil.evaluation.metrics import EvaluationResult
from mtil.policies.checkpoint import LoadedPolicy
from mtil.report.embeddings import embeddings
from mtil.report.page import page, render
from mtil.report.run import Run, read_run
from mtil.types import Task

NASTY = "<script>alert('drawer')"
TASKS = (Task("open", ("open it", "pull it")), Task("close", ("close it",)), Task(NASTY, (f"do {NASTY}",)))
ONE_HOT, LANGUAGE = {"kind": "one_hot", "width": 4}, {"kind": "language", "width": 4, "model": "/nowhere"}
BOTH = {
    "kind": "multimodal",
    "one_hot": {"width": 4},
    "language": {"width": 4, "model": "/nowhere"},
}
MakeRun = Callable[..., Run]


@pytest.fixture
def make(make_run: Callable[..., Path], untrained: Callable[..., LoadedPolicy]) -> MakeRun:
    """Makes a run that has a policy of some tasks."""

    def make(encoder: dict[str, Any], tasks: tuple[Task, ...] = TASKS, **options: Any) -> Run:
        run = read_run(make_run(kind=encoder["kind"], **options))
        return replace(run, policy=untrained(encoder, tasks))

    return make


def name_by_sentences(run: Run, order: Sequence[int]) -> None:
    """Have the names' embeddings be those of the sentences, of tasks in this order."""
    assert run.policy is not None
    policy = run.policy.policy
    encoder = policy.task_encoders["one_hot"]
    assert isinstance(encoder, OneHotEncoder)
    with torch.no_grad():
        z = torch.stack([policy.embed("language", task.instructions).mean(0) for task in policy.spec.tasks])
        encoder.embedding.weight.copy_(z[list(order)])


def test_names_are_known_by_the_sentences(make: MakeRun) -> None:
    run = make(BOTH)
    name_by_sentences(run, [0, 1, 2])
    found = embeddings(run)
    assert found is not None
    assert (found.own, list(found.retrievals), found.left_out) == ("sentences of the training", ["names"], [])
    names = found.retrievals["names"]
    assert (names.correct, names.count, names.tasks) == (3, 3, 3)
    assert found.map is not None
    assert len(found.map.marks) == 3 + 4
    assert found.cosines is not None
    assert [row[i] for i, row in enumerate(found.cosines.rows)] == [1, 1, 1]


def test_names_that_say_another_task_are_taken_for_it(make: MakeRun) -> None:
    run = make(BOTH)
    name_by_sentences(run, [1, 0, 2])
    found = embeddings(run)
    assert found is not None
    names = found.retrievals["names"]
    assert (names.correct, names.count) == (1, 3)
    assert {(pair.task, pair.taken_for) for pair in names.confusions} == {("open", "close"), ("close", "open")}


def test_held_out_sentences_are_those_of_the_evaluations(
    make: MakeRun, make_result: Callable[..., EvaluationResult], tmp_path: Path
) -> None:
    """Read again where they still are; of the tasks that the file and the policy know."""
    file, gone = tmp_path / "held-out.yaml", tmp_path / "gone.yaml"
    file.write_text(yaml.safe_dump({"open": ["pull it", "open it"], "close": ["close it"], "unknown": ["what"]}))
    results = {"a": make_result(), **{f.stem: make_result(instructions=str(f)) for f in (file, gone)}}
    found = embeddings(make(LANGUAGE, results=results))
    assert found is not None
    assert {title: each.count for title, each in found.retrievals.items()} == {f"sentences of {file}": 3}
    assert [line.startswith(f"sentences of {gone}: {gone}: cannot be read") for line in found.left_out] == [True]


def test_a_task_without_sentences_has_no_prototype(make: MakeRun) -> None:
    found = embeddings(make(BOTH, (*TASKS[:2], Task("mute"))))
    assert found is not None
    assert found.retrievals["names"].count == 2
    assert found.cosines is not None
    assert found.cosines.tasks == ["open", "close"]


def test_of_many_tasks_the_closest_pairs_are_shown(make: MakeRun) -> None:
    found = embeddings(make(ONE_HOT, tuple(Task(f"task {i}") for i in range(50))))
    assert found is not None
    assert found.cosines is not None
    values = [value for _, _, value in found.cosines.closest]
    assert (found.cosines.rows, len(values), found.cosines.pairs) == ([], 20, 50 * 49 // 2)
    assert values == sorted(values, reverse=True)
    assert not found.retrievals


def test_nothing_of_a_policy_that_is_gone_or_untold(make: MakeRun) -> None:
    run = make(ONE_HOT)
    assert embeddings(replace(run, policy=None)) is None
    assert embeddings(replace(run, config={"policy": {"task_encoder": {"kind": "none"}}})) is None


@pytest.mark.parametrize("tasks", [TASKS, tuple(Task(f"{NASTY}{i}", (f"{i}",)) for i in range(20))], ids=len)
def test_the_page_shows_and_escapes_them(
    make: MakeRun, make_result: Callable[..., EvaluationResult], tmp_path: Path, tasks: tuple[Task, ...]
) -> None:
    file = tmp_path / f"{NASTY}.yaml"
    results = {"a": make_result(), "b": make_result(instructions=str(file))}
    text = render(page([make(BOTH, tasks, results=results)], count=0))
    section = text.partition('<section id="embeddings">')[2].partition("</section>")[0]
    assert '<a href="#embeddings">' in text
    assert (
        section.count('class="mark"')
        == section.count("<title>")
        == len(tasks) + sum(len(task.instructions) for task in tasks)
    )
    assert f"of {len(tasks)}</td>" in section
    assert "Left out: sentences of " in section
    assert "<script>" not in section
    assert "&lt;script&gt;" in section


def test_the_page_of_runs_without_a_policy_has_no_such_section(make_run: Callable[..., Path]) -> None:
    assert "#embeddings" not in render(page([read_run(make_run())], count=0)).partition("</nav>")[0]
