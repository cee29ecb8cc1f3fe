"""The log of a training, as `metrics.csv` holds it.

Legend: N logged steps.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mtil.errors import CheckpointError


@dataclass(frozen=True)
class Series:
    """A metric over the steps that it was logged at."""

    steps: Float[np.ndarray, " N"]
    values: Float[np.ndarray, " N"]


Metrics = Mapping[str, Series]
"""By column, e.g. `"val/nll"` or `"val/nll/reach-v3"`; none is empty."""


def read_metrics(path: Path) -> Metrics:
    """Read a log; a run that has none yet has no metrics.

    Raises:
        CheckpointError: The file cannot be read, or is no such log.
    """
    if not path.exists():
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]  # a process killed leaves half one
        columns = list(rows[0]) if rows else []
        series = {column: _series(rows, column) for column in columns if column != "step"}
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, csv.Error) as error:
        raise CheckpointError(f"{path}: not a log of metrics: {type(error).__name__} {error}") from None
    return {column: found for column, found in series.items() if len(found.steps)}


def _series(rows: list[dict[str, str]], column: str) -> Series:
    logged = [(float(row["step"]), float(row[column])) for row in rows if row[column]]
    steps, values = np.array(logged, dtype=float).reshape(-1, 2).T
    finite = np.isfinite(values)
    return Series(steps[finite], values[finite])
