from collections.abc import Callable
from io import StringIO
from pathlib import Path

import h5py
from rich.console import Console

from mtil.data.inspection import inspect
from mtil.data.inspection_table import print_inspection


def shown(path: Path, *, width: int = 200) -> list[str]:
    console = Console(width=width, file=StringIO())
    print_inspection(inspect(path), console)
    assert isinstance(console.file, StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines() if line.strip()]


def cells(lines: list[str], first: str) -> list[str]:
    return next(line.split() for line in lines if line.startswith(first))


def test_tasks_and_features(write: Callable[[str], Path]) -> None:
    write("open")
    lines = shown(write("close").parent)
    assert cells(lines, "open") == ["open", "3", "15", "do", "open", "(+1)"]
    assert cells(lines, "2 tasks") == ["2", "tasks", "6", "30"]
    assert cells(lines, "camera") == ["camera", "image", "(6,", "8,", "3)", "uint8"]
    assert cells(lines, "actions") == ["actions", "action", "(2,)", "float32"]
    assert lines[-1] == "no defects"


def test_every_defect_and_note_is_a_line_of_its_own(sound: Path, opened: h5py.File) -> None:
    opened["data/demo_0/actions"][0] = 3  # pyright: ignore[reportIndexIssue]
    opened["data/demo_1/obs/proprio"][2] = float("nan")  # pyright: ignore[reportIndexIssue]
    del opened["data/demo_2"].attrs["num_samples"]
    opened.close()
    lines = shown(sound, width=60)
    defects = [line for line in lines if line.startswith("defect: ")]
    assert defects == [f"defect: {defect}" for defect in inspect(sound).defects]
    assert len(defects) == 2
    assert [line for line in lines if line.startswith(f"note: {sound}: actions: 2 of 30 values lie outside")]
    assert lines[-1] == "2 defects"


def test_names_are_shown_as_they_are(write: Callable[[str], Path]) -> None:
    assert cells(shown(write("[red]task")), "[red]task")[1:3] == ["3", "15"]
