"""A diagnosis to read and to keep.

Legend: T tasks.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from pydantic import TypeAdapter
from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from mtil.training.diagnosis import Diagnosis
from mtil.training.gradients import conflicts
from mtil.training.interference import Interference, ObjectiveVariance, SchemeVariance

_DIAGNOSIS = TypeAdapter(Diagnosis)
_PAIRS = 5  # of fighting tasks, listed


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print the tables to standard output."""
    Console().print(tables(diagnosis))


def tables(diagnosis: Diagnosis) -> Group:
    """The tasks, the pairs that fight, and the variance of batches, for a terminal or a text file."""
    found = diagnosis.interference
    return Group(
        _tasks(diagnosis),
        _text(_agreement(found)),
        *_pairs(found),
        *(part for objective in found.objectives for part in _variance(objective, diagnosis.protocol.batch_size)),
        _text(_protocol(diagnosis)),
    )


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """The diagnosis as JSON values: `protocol` and `interference`; null for what noise leaves nothing of."""
    return _DIAGNOSIS.dump_python(diagnosis, mode="json")


def _tasks(diagnosis: Diagnosis) -> Table:
    partial = any(task.read < task.windows for task in diagnosis.interference.tasks)
    rows = Table(box=box.SIMPLE, pad_edge=False, title="Gradient of each task's mean NLL", title_justify="left")
    rows.add_column("task", no_wrap=True)
    for header in ("demos", "windows", "weight %", "norm", "share %", *(["signal"] if partial else [])):
        rows.add_column(header, justify="right")
    for task in diagnosis.interference.tasks:
        rows.add_row(
            task.task,
            str(diagnosis.protocol.demos[task.task]),
            f"{task.windows:,}",
            _number(100 * task.weight, ".1f"),
            _number(task.norm),
            _number(task.share if task.share is None else 100 * task.share, ".1f"),
            *([_number(task.reliability, ".2f")] if partial else []),
        )
    return rows


def _agreement(found: Interference) -> str:
    pairs = len(found.tasks) * (len(found.tasks) - 1) // 2
    fighting = len(conflicts(_matrix(found)))
    noisy = [task.task for row, task in zip(found.cosines, found.tasks, strict=True) if all(c is None for c in row)]
    hidden = f" Too noisy to say: {', '.join(noisy)}." if noisy else ""
    least = f", and the mean cosine is then about {-1 / (len(found.tasks) - 1):.2f}" if pairs else ""
    return (
        f"share: w_i <g_i, g> / |g|^2 of the objective's gradient g = sum_i w_i g_i. Agreement |g| / sum_i w_i |g_i|: "
        f"{_number(found.agreement, '.2f')} (1: all tasks pull the same way; 0: they cancel, as they must at a minimum"
        f"{least}). {fighting} of {pairs} pairs fight: the cosine of their gradients is negative.{hidden}"
    )


def _pairs(found: Interference) -> list[RenderableType]:
    matrix, names = _matrix(found), [task.task for task in found.tasks]
    listed = conflicts(matrix)[:_PAIRS]
    if not listed:
        return []
    rows = Table(box=box.SIMPLE, pad_edge=False, title="Tasks that fight most", title_justify="left")
    rows.add_column("task", no_wrap=True)
    rows.add_column("against", no_wrap=True)
    rows.add_column("cosine", justify="right")
    for first, second in listed:
        rows.add_row(names[first], names[second], f"{matrix[first, second]:.2f}")
    return [rows]


def _variance(objective: ObjectiveVariance, batch_size: int) -> list[RenderableType]:
    title = f"Variance of the gradient of {batch_size} examples; {objective.objective}"
    rows = Table(box=box.SIMPLE, pad_edge=False, title=title, title_justify="left")
    rows.add_column("batches", no_wrap=True)
    for header in ("variance", "95% interval", "ratio", "95% interval", "theory"):
        rows.add_column(header, justify="right", no_wrap=True)
    expected = _expected(objective.schemes[0])
    for scheme in objective.schemes:
        rows.add_row(
            scheme.scheme,
            _number(scheme.variance),
            f"{scheme.low:.3g} - {scheme.high:.3g}",
            _number(scheme.ratio, ".3f"),
            f"{_number(scheme.ratio_low, '.3f')} - {_number(scheme.ratio_high, '.3f')}" if rows.row_count else "",
            f"{_expected(scheme) / expected:.3f}" if expected > 0 else "-",
        )
    return [rows, _text(_between(objective))]


def _between(objective: ObjectiveVariance) -> str:
    stratified, random = objective.schemes[:2]
    return (
        f"Between tasks lie {_percent(random.between, random.within)} of the variance if tasks are drawn at random "
        f"(by theory {_percent(random.expected_between, random.expected_within)}): this is what stratification takes "
        f"away. Squared norm of the gradient itself: {_number(objective.squared_norm)}; noise scale of stratified "
        f"batches: {_number(stratified.noise_scale, ',.0f')} examples."
    )


def _protocol(diagnosis: Diagnosis) -> str:
    how, tasks = diagnosis.protocol, diagnosis.interference.tasks
    read, windows = sum(task.read for task in tasks), sum(task.windows for task in tasks)
    sampled = "" if read == windows else "; their noise is taken out of norms, shares and cosines"
    return (
        f"{how.checkpoint} (step {how.step}, averaged weights, no dropout), {how.parameters:,} parameters. The tasks' "
        f"gradients are over {read:,} of {windows:,} training windows of {how.data}, each told in every way{sampled}; "
        f"variances are of {how.batches} batches (seed {how.seed}), intervals from resampling these."
    )


def _matrix(found: Interference) -> Float[np.ndarray, "T T"]:
    return np.array(found.cosines, dtype=float)


def _expected(scheme: SchemeVariance) -> float:
    return scheme.expected_within + scheme.expected_between


def _percent(part: float, rest: float) -> str:
    return f"{100 * part / (part + rest):.1f}%" if part + rest > 0 else "-"


def _number(value: float | None, form: str = ".3g") -> str:
    return "-" if value is None else format(value, form)


def _text(words: str) -> Text:
    return Text(words + "\n")
