from collections.abc import Callable, Sequence
from pathlib import Path

from mtil.evaluation.metrics import Outcome
from mtil.report.episodes import episodes
from mtil.report.films import Films
from mtil.report.run import Run, read_run
from mtil.report.subject import subjects
from mtil.report.success import success_rows


def test_every_failure_is_there_and_those_of_the_hardest_tasks_are_filmed(make_run: Callable[..., Path]) -> None:
    asked: list[Outcome] = []

    def filming(run: Run, outcomes: Sequence[Outcome]) -> Films:
        asked.extend(outcomes)
        return {}

    run = read_run(make_run())
    found = subjects([run])
    tasks = [row.task for row in success_rows(found)]
    browser = episodes(found, tasks, count=3, filming=filming)
    failed = {(each.task, each.episode) for each in run.result.outcomes if not each.success}
    assert {(view.outcome.task, view.outcome.episode) for view in browser.failed} == failed
    assert browser.tasks == [task for task in tasks if any(name == task for name, _ in failed)]
    assert [each.task for each in asked if not each.success] == [tasks[0], tasks[1], tasks[0]]
    assert [each.task for each in asked if each.success] == tasks[:2]
    assert all(f"--replay {view.outcome.episode}" in view.command for view in browser.failed)


def test_commands_name_the_run_where_it_is_now(make_run: Callable[..., Path], tmp_path: Path) -> None:
    found = subjects([read_run(make_run().rename(tmp_path / "moved"))])
    tasks = [row.task for row in success_rows(found)]
    (command, *_) = [view.command for view in episodes(found, tasks, count=0).failed]
    assert command.startswith(f"mtil evaluate {tmp_path / 'moved' / 'checkpoints' / 'last.ckpt'} ")


def test_films_are_shared_among_the_runs(make_run: Callable[..., Path]) -> None:
    asked: list[int] = []

    def filming(run: Run, outcomes: Sequence[Outcome]) -> Films:
        asked.append(sum(not each.success for each in outcomes))
        return {}

    found = subjects([read_run(make_run("a-0")), read_run(make_run("a-1", seed=1))])
    tasks = [row.task for row in success_rows(found)]
    episodes(found, tasks, count=3, filming=filming)
    assert asked == [2, 1]
    episodes(found, tasks, count=0, filming=filming)
    assert asked == [2, 1]
