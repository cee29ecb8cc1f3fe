"""Rows of Hugging Face datasets."""

from pathlib import Path

import pytest
from datasets import Dataset
from hf_rows import LENGTHS, MIXED, parquet, steps_of


@pytest.fixture
def rows() -> Dataset:
    """Four episodes of two tasks."""
    return steps_of((4, 3, 5, 2), (0, 1, 0, 1))


@pytest.fixture
def one(tmp_path: Path) -> str:
    """A stream of ten episodes, of two tasks in turns."""
    return parquet(tmp_path / "one", LENGTHS, MIXED)
