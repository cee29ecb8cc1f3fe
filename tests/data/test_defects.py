from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.defects import ACTIONS, Defect, Findings, explain, layout_defect, outliers, reading, value_defect
from mtil.errors import DatasetError, OutputError


@given(values=st.dictionaries(st.text(), st.integers(0, 3), min_size=1))
def test_outliers_and_rule_divide_the_values(values: dict[str, int]) -> None:
    rule, odd = outliers(values)
    assert odd == [name for name, value in values.items() if value != rule]
    assert all(list(values.values()).count(rule) >= list(values.values()).count(value) for value in values.values())


@given(steps=st.integers(1, 20), width=st.integers(1, 5), at=st.data())
def test_the_first_step_that_is_not_finite_is_named(steps: int, width: int, at: st.DataObject) -> None:
    array = np.zeros((steps, width), np.float32)
    assert value_defect(array) is None
    step = at.draw(st.integers(0, steps - 1))
    array[step:, at.draw(st.integers(0, width - 1))] = at.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    assert value_defect(array) == f"step {step} is NaN, infinite or beyond float32"


@pytest.mark.parametrize(
    ("key", "shape", "dtype"),
    [
        (ACTIONS, (5, 2), "float32"),
        (ACTIONS, (5, 2), "float64"),
        ("state", (5, 4), "float64"),
        ("state", (5, 4), "uint8"),
        ("state", (5, 4), "bool"),
        ("image", (5, 6, 8, 3), "uint8"),
        ("image", (5, 3, 8, 3), "uint8"),
    ],
)
def test_sound_layouts_pass(key: str, shape: tuple[int, ...], dtype: str) -> None:
    assert layout_defect(key, shape, np.dtype(dtype)) is None


def test_a_defect_reads_as_one_line_without_what_it_does_not_know() -> None:
    assert str(Defect("a.hdf5", "demo_1", "state", "bad")) == "a.hdf5: demo_1: state: bad"
    assert str(Defect("a.hdf5", None, None, "bad")) == "a.hdf5: bad"


def test_findings_of_a_demo_join_those_of_its_file() -> None:
    findings = Findings("a.hdf5")
    with findings.of("demo_1").guard("state"):
        raise RuntimeError("bad\n  heap")
    for _ in range(2):
        findings.of("demo_2").note("stored as float64", "state")
    assert findings.defects == [Defect("a.hdf5", "demo_1", "state", "cannot be read: bad heap")]
    assert len(findings.notes) == 1


def test_an_explanation_is_one_line() -> None:
    assert explain(PermissionError(13, "x")) == "cannot be read: Permission denied"
    assert explain(KeyError("two\nlines")) == "cannot be read: two lines"
    assert explain(MemoryError()) == "cannot be read: MemoryError"


@pytest.mark.parametrize(
    "error", [MemoryError(), TypeError("two\nlines"), OverflowError("inf"), IndexError(), KeyError("x")]
)
def test_whatever_goes_wrong_while_reading_is_told(error: Exception) -> None:
    with (
        pytest.raises(DatasetError, match=r"^a.hdf5: camera: cannot be read: \S.*$"),
        reading(Path("a.hdf5"), "camera"),
    ):
        raise error


def test_an_error_of_our_own_passes_as_it_is() -> None:
    with pytest.raises(OutputError, match=r"^no room$"), reading(Path("a.hdf5")):
        raise OutputError("no room")
