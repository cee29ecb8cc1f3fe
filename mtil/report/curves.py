"""Learning curves: a few large ones, and one small one for each task."""

from collections.abc import Sequence
from dataclasses import dataclass

from mtil.report.chart import Chart, Scale, chart
from mtil.report.metrics_log import Metrics, Series

_OVERALL = {
    "NLL of actions (nats)": {"val/nll": "", "train/nll": "train"},
    "Action error of held-out demonstrations": {"val/action_error": ""},
    "Success of rollouts during training": {"rollout/success": ""},
}
_ABSENT = "val/absent/action_error"
_CONTROLS = {  # not of the NLL, which of what is told wrongly has no bound
    "Action error told its task, another, or nothing": {
        "val/action_error": "",
        "val/wrong/action_error": "wrong",
        _ABSENT: "absent",
    }
}


@dataclass(frozen=True)
class Curves:
    """Charts of the whole, and folds of small charts, one for each task."""

    overall: Sequence[Chart]
    folds: Sequence[tuple[str, Sequence[Chart]]]


def curves(runs: Sequence[tuple[str, Metrics]], tasks: Sequence[str]) -> Curves:
    """All that was logged.

    Args:
        runs: Each run's name and metrics.
        tasks: In the order to show them in.
    """
    titles = _OVERALL | (_CONTROLS if any(_ABSENT in metrics for _, metrics in runs) else {})
    overall = [chart(title, lines) for title, columns in titles.items() if (lines := _lines(runs, columns, ""))]
    folds = [(title, _small(runs, columns, tasks)) for title, columns in titles.items()]
    return Curves(overall, [fold for fold in folds if fold[1]])


def _small(runs: Sequence[tuple[str, Metrics]], columns: dict[str, str], tasks: Sequence[str]) -> list[Chart]:
    """Charts on one scale, so that tasks can be compared."""
    found = {task: lines for task in tasks if (lines := _lines(runs, columns, f"/{task}"))}
    if not found:
        return []
    scale = Scale.of(series for lines in found.values() for series in lines.values())
    return [chart(task, lines, scale=scale, ticks=2) for task, lines in found.items()]


def _lines(runs: Sequence[tuple[str, Metrics]], columns: dict[str, str], suffix: str) -> dict[tuple[str, str], Series]:
    """The lines of a chart, named for their runs where there are several, coloured by them, and dashed by style."""
    return {
        (" ".join((column, name) if len(runs) > 1 else (column,)), f"c{index % 6} {style}".strip()): metrics[key]
        for column, style in columns.items()
        for index, (name, metrics) in enumerate(runs)
        if (key := column + suffix) in metrics
    }
