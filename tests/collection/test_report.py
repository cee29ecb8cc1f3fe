from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from mtil.collection.report import collect_and_report, table
from mtil.collection.settings import CollectionReport, CollectionSettings, TaskReport
from mtil.errors import SimulatorError


def lines(console: Console) -> list[list[str]]:
    """The words of every line that was shown."""
    assert isinstance(console.file, StringIO)
    return [line.split() for line in console.file.getvalue().splitlines() if line.split()]


@pytest.fixture
def console() -> Console:
    return Console(width=100, file=StringIO())


def test_the_table_adds_up(console: Console) -> None:
    console.print(table(CollectionReport((TaskReport("open", 3, 4, 120), TaskReport("[close]", 3, 3, 80)))))
    assert lines(console)[0] == ["task", "demos", "attempts", "failures", "steps"]
    assert ["open", "3", "4", "1", "120"] in lines(console)
    assert ["[close]", "3", "3", "0", "80"] in lines(console)
    assert lines(console)[-1] == ["all", "6", "7", "1", "200"]


def test_collecting_shows_what_became_of_each_task(tmp_path: Path, console: Console) -> None:
    settings = CollectionSettings(suite="metaworld-mt10", seed=0, noise=0.0, episodes_per_task=1)
    collect_and_report(settings, tmp_path / "demos", tasks=["drawer-close-v3"], workers=1, console=console)
    shown = lines(console)
    row = next(line for line in shown if line[0] == "drawer-close-v3" and len(line) == 5)
    assert row[1] == "1"
    assert int(row[4]) > 10
    assert (tmp_path / "demos" / "drawer-close-v3.hdf5").exists()
    assert shown[-1][0] == "demonstrations:"


def test_an_unknown_suite_is_answered(tmp_path: Path, console: Console) -> None:
    settings = CollectionSettings(suite="metaworld-mt1", seed=0, noise=0.0, episodes_per_task=1)
    with pytest.raises(SimulatorError, match=r"metaworld-mt1.* did you mean 'metaworld-mt10'"):
        collect_and_report(settings, tmp_path, tasks=None, workers=1, console=console)
