"""Fixtures that several rooms share."""

from pathlib import Path

import pytest


@pytest.fixture
def toy_suite(monkeypatch: pytest.MonkeyPatch) -> str:
    """Installs the suite `tests/evaluation/toy`, for this process and those that it spawns; returns its name."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "evaluation" / "toy")
    return "toy"
