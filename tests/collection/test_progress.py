"""The bar counts what the reports say."""

import io

from rich.console import Console

from mtil.collection.progress import progress_bar
from mtil.collection.settings import TaskReport


def test_the_bar_adds_up_the_latest_report_of_each_task() -> None:
    screen = io.StringIO()
    with progress_bar(episodes=6, console=Console(file=screen, width=120)) as bar:
        bar(TaskReport("reach-v3", demos=1, attempts=1, steps=50))
        bar(TaskReport("reach-v3", demos=3, attempts=4, steps=150))
        bar(TaskReport("push-v3", demos=2, attempts=3, steps=90))
    assert "5/6 demos, 2 failed" in screen.getvalue()
