"""Rows of Hugging Face datasets."""

import pytest
from datasets import Dataset
from hf_rows import steps_of


@pytest.fixture
def rows() -> Dataset:
    """Four episodes of two tasks."""
    return steps_of((4, 3, 5, 2), (0, 1, 0, 1))
