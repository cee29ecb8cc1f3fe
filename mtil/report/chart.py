"""Lines over training steps, as geometry for an SVG drawing that the page stretches to any size.

Legend: N points.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.ticker import MaxNLocator

from mtil.report.metrics_log import Series

_POINTS = 150  # of a line: more than a chart of this size can show
_OUTLIERS = 0.03  # of the values may be cut off at the top: the first steps dwarf all that follow


@dataclass(frozen=True)
class Tick:
    """A label beside an axis, at a per cent of its length (from the left, or from the top)."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """One line: `style` names its look, `path` its course in a square of 100 by 100, `last` its last value."""

    name: str
    style: str
    path: str
    last: float


@dataclass(frozen=True)
class Scale:
    """Ranges of both axes."""

    left: float
    right: float
    low: float
    high: float

    @staticmethod
    def of(series: Iterable[Series]) -> "Scale":
        """What shows all of these, but for the few largest values."""
        found = list(series)
        values = np.concatenate([each.values for each in found])
        low, high = float(values.min()), float(np.quantile(values, 1 - _OUTLIERS))
        margin = 0.04 * (high - low) or max(abs(high), 1.0) * 0.1
        return Scale(0.0, max(float(each.steps[-1]) for each in found), low - margin, high + margin)

    def path(self, series: Series) -> str:
        """The course of a line; what lies outside is drawn at the edge."""
        x = 100 * (series.steps - self.left) / (self.right - self.left or 1)
        y = 100 * (self.high - np.clip(series.values, self.low, self.high)) / (self.high - self.low)
        return "M" + " ".join(f"{a:.1f} {b:.1f}" for a, b in zip(_thinned(x), _thinned(y), strict=True))

    def x_ticks(self, count: int) -> list[Tick]:
        """At round steps."""
        width = self.right - self.left or 1
        return [Tick(100 * (at - self.left) / width, _steps(at)) for at in _round(self.left, self.right, count)]

    def y_ticks(self, count: int) -> list[Tick]:
        """At round values."""
        height = self.high - self.low
        return [Tick(100 * (self.high - at) / height, f"{at:.4g}") for at in _round(self.low, self.high, count)]


@dataclass(frozen=True)
class Chart:
    """A drawing with its title and the ticks of its axes."""

    title: str
    lines: Sequence[Line]
    x_ticks: Sequence[Tick]
    y_ticks: Sequence[Tick]


def chart(title: str, series: Mapping[tuple[str, str], Series], *, scale: Scale | None = None, ticks: int = 4) -> Chart:
    """A chart of named, styled lines.

    Args:
        title: What is shown.
        series: By name and style.
        scale: Of the axes; by default what shows all lines.
        ticks: About so many on each axis.
    """
    scale = scale or Scale.of(series.values())
    lines = [Line(name, style, scale.path(each), float(each.values[-1])) for (name, style), each in series.items()]
    return Chart(title, lines, scale.x_ticks(ticks), scale.y_ticks(ticks))


def _thinned(values: Float[np.ndarray, " N"]) -> Float[np.ndarray, " M"]:
    rows = np.unique(np.linspace(0, len(values) - 1, min(len(values), _POINTS)).round().astype(int))
    return values[rows]


def _round(low: float, high: float, count: int) -> list[float]:
    found = MaxNLocator(nbins=count, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return [float(value) for value in found if low <= value <= high]


def _steps(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"
