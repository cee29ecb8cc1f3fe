from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mtil.errors import OutputError
from mtil.training.diagnosis_plot import plot, write_plot
from mtil.training.interference import Interference, measure

BEGINNINGS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}


def interference(linear_problem: Any, tasks: int) -> Interference:
    problem = linear_problem([5] * tasks, ways=[1] * tasks)
    names = [f"task-{i}" for i in range(tasks)]
    objectives = {"own": [1.0] * tasks}
    return measure(problem, problem.population, names=names, objectives=objectives, batches=2, batch_size=64, seed=0)


@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_the_suffix_names_the_format(linear_problem: Any, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "deep" / f"found{suffix}"
    write_plot(path, interference(linear_problem, 3))
    assert path.read_bytes().startswith(BEGINNINGS[suffix])
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("tasks", [1, 2, 10, 50])
def test_matrix_and_bars_show_every_task(linear_problem: Any, tasks: int) -> None:
    found = interference(linear_problem, tasks)
    matrix, bars, *_ = plot(found).axes
    names = [f"task-{i}" for i in range(tasks)]
    assert [label.get_text() for label in matrix.get_yticklabels()] == names
    assert matrix.images[0].get_array().shape == (tasks, tasks)  # type: ignore[union-attr]
    widths = [bar.get_width() for bar in bars.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([100 * (task.share or 0) for task in found.tasks])


def test_what_noise_has_swallowed_stays_blank(linear_problem: Any, tmp_path: Path) -> None:
    found = interference(linear_problem, 2)
    first, second = found.tasks
    found = replace(found, tasks=(replace(first, share=None), second), cosines=((None, None), (None, 1.0)))
    write_plot(tmp_path / "found.png", found)
    assert [text.get_text() for text in plot(found).axes[0].texts] == ["", "", "", "1.00"]


def test_a_place_that_cannot_be_written_to(linear_problem: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"found\.png: the picture cannot be written"):
        write_plot(tmp_path / "file" / "found.png", interference(linear_problem, 2))
