"""Rewards and dones: which are read, and which are defects; and what an error tells when they are read."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset

from mtil.data.huggingface.config import ColumnsConfig
from mtil.data.huggingface.saved import tasks_of
from mtil.errors import DatasetError

NAN = float("nan")


def as_episodes(**cells: Any) -> Dataset:
    """Two rows of two steps each, in the latter of which there are these."""
    one = {"task": "a", "action": [[0.5], [0.5]], "next.reward": [0.0, 1.0], "next.done": [False, True]}
    return Dataset.from_list([one, {**one, **{name.replace("_", "."): values for name, values in cells.items()}}])


def signals(tasks: list[Any]) -> list[list[float]]:
    return [values.tolist() for task in tasks for each in task.episodes() for values in (each.rewards, each.dones)]


@pytest.mark.parametrize("number", [lambda value: value, lambda value: [value]], ids=["one", "a list of one"])
@pytest.mark.parametrize("kind", [int, float, bool])
def test_numbers_and_booleans_are_read(rows: Dataset, number: Any, kind: type) -> None:
    given = [number(kind(place % 2)) for place in range(len(rows))]
    (lift, _) = tasks_of(rows.add_column("next.reward", given).add_column("next.done", given))
    assert signals([lift]) == [[0, 1, 0, 1]] * 2 + [[1, 0, 1, 0, 1]] * 2
    assert set(lift.observations) == {"state", "top"}
    assert signals(tasks_of(as_episodes())) == [[0, 1]] * 4


@pytest.mark.parametrize("column", ["next.reward", "next.done"])
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([0.0] * 5 + [NAN] + [0.0] * 8, "episode 1: {}: step 1 is NaN"),
        ([0.0] * 5 + [None] + [0.0] * 8, "episode 1: {}: row 1: expected a value, found none"),
        ([0.0] * 5 + [1e300] + [0.0] * 8, "episode 1: {}: step 1 is .* beyond float32"),
        (["0"] * 14, "episode 0: {}: expected numbers, found string"),
        ([[0.0, 1.0]] * 14, r"episode 0: {}: expected one number a step, of shape \(4,\), found \(4, 2\)"),
        ([[]] * 14, "episode 0: {}: expected"),
        ([[[0.0]]] * 14, r"episode 0: {}: expected one number a step, of shape \(4,\), found \(4, 1, 1\)"),
        ([[0.0]] * 13 + [[0.0, 1.0]], "episode 3: {}: expected 1 values as in the first row, found 2 in row 1"),
    ],
)
def test_defects_of_steps(rows: Dataset, column: str, wrong: list[Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message.format(column.replace(".", r"\."))):
        tasks_of(rows.add_column(column, wrong))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"next_reward": [0.0]}, r"episode 1: next\.reward: expected one number a step, of shape \(2,\), found \(1,\)"),
        (
            {"next_done": [False] * 3},
            r"episode 1: next\.done: expected one number a step, .* found \(3,\)",
        ),
        ({"next_reward": None}, r"episode 1: next\.reward: row 0: expected a value, found none"),
        ({"next_reward": [0.0, None]}, r"episode 1: next\.reward: row 1: expected a value, found none"),
    ],
)
def test_defects_of_episodes(cells: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        tasks_of(as_episodes(**cells))


def test_a_column_of_another_name_is_looked_at(rows: Dataset) -> None:
    given = rows.add_column("r", [NAN] * len(rows))
    with pytest.raises(DatasetError, match=r"episode 0: r: step 0 is NaN.* \(and 3 more\)"):
        tasks_of(given, ColumnsConfig(reward="r"))


@pytest.mark.parametrize("column", ["action", "state"])
def test_what_float32_cannot_hold_is_a_defect(rows: Dataset, column: str) -> None:
    wide = np.array(list(rows[column]), np.float64)
    wide[1, 0] = -1e300
    with pytest.raises(DatasetError, match=f"episode 0: {column}: step 1 is .* beyond float32"):
        tasks_of(rows.remove_columns(column).add_column(column, list(wide)))


@pytest.mark.parametrize("column", ["action", "state", "top", "next.reward"])
def test_what_goes_wrong_later_tells_where(rows: Dataset, tmp_path: Path, column: str) -> None:
    """In a dataset that was opened, and is another now."""
    given = rows.add_column("next.reward", [0.0] * len(rows))
    (lift, _) = tasks_of(given)
    values = given.with_format("arrow")[:].to_pylist()  # type: ignore[union-attr]
    for row in values:
        row[column] = {"bytes": b"no", "path": None} if column == "top" else None
    object.__setattr__(lift.rows, "dataset", Dataset.from_list(values).with_format("arrow"))
    with pytest.raises(DatasetError, match=rf"^datasets\.Dataset: demo_0: {column}: [^:]*(row 0|picture)[^:]*"):
        next(lift.episodes())
