from collections.abc import Callable
from pathlib import Path

from mtil.evaluation.metrics import EvaluationResult
from mtil.report.run import read_run
from mtil.report.subject import subjects
from mtil.report.success import success_rows


def test_hardest_first_and_blank_where_nothing_was_evaluated(
    make_run: Callable[..., Path], make_result: Callable[..., EvaluationResult]
) -> None:
    other = {"a": make_result("b", tasks=("drawer-close", "reach"), won=(0, 4))}
    found = subjects([read_run(make_run("a")), read_run(make_run("b", kind="one_hot", results=other))])
    rows = success_rows(found)
    assert [row.rate for row in rows] == sorted(row.rate for row in rows)
    counts = {row.task: [cell and cell.successes for cell in row.cells] for row in rows}
    assert counts.pop("reach") == [None, 4]
    assert counts.pop("drawer-close") == [4, 0]
    assert list(counts.values()) == [[1, None], [3, None]]
