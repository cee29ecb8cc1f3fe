import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mtil.report.chart import Scale, chart
from mtil.report.metrics_log import Series

values = arrays(float, st.integers(1, 400), elements=st.floats(-1e6, 1e6))


def series(y: np.ndarray) -> Series:
    return Series(np.arange(1.0, len(y) + 1), y)


@given(values)
def test_every_line_and_tick_lies_on_the_paper(y: np.ndarray) -> None:
    found = chart("loss", {("val", "c0"): series(y)})
    (line,) = found.lines
    points = np.array(line.path.removeprefix("M").split(), float)
    assert points.min() >= 0
    assert points.max() <= 100
    assert len(points) <= 2 * 150
    assert points[-2] == 100  # the last step is drawn
    assert line.last == y[-1]
    assert all(-1e-6 <= tick.at <= 100 + 1e-6 for tick in (*found.x_ticks, *found.y_ticks))


def test_higher_values_are_drawn_higher() -> None:
    scale = Scale(0.0, 2.0, 0.0, 10.0)
    assert scale.path(Series(np.array([0.0, 1.0, 2.0]), np.array([0.0, 5.0, 99.0]))) == "M0.0 100.0 50.0 50.0 100.0 0.0"
    assert [(tick.label, tick.at) for tick in scale.y_ticks(2)] == [("0", 100), ("5", 50), ("10", 0)]


def test_first_steps_do_not_flatten_the_rest() -> None:
    y = np.ones(100)
    y[0], y[50] = 1e6, 2.0
    assert Scale.of([series(y)]).high < 10


def test_thousands_are_short() -> None:
    assert [tick.label for tick in Scale(0.0, 10_000.0, 0.0, 1.0).x_ticks(2)] == ["0", "5k", "10k"]
    assert Scale(0.0, 100.0, 0.0, 1.0).x_ticks(2)[-1].label == "100"


@pytest.mark.parametrize("y", [0.0, -3.0, 2.0])
def test_a_constant_has_a_scale(y: float) -> None:
    scale = Scale.of([series(np.full(3, y))])
    assert scale.low < y < scale.high
