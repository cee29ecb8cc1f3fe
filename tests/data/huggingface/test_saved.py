"""What opens as tasks, and what does not."""

from collections.abc import Callable
from typing import Any

import pytest
from datasets import Dataset, DatasetDict, IterableDatasetDict

from mtil.data.huggingface.saved import tasks_of
from mtil.errors import DatasetError

SPLIT = r"choose a split, by load_dataset\(\.\.\., split=\.\.\.\) or by its name"
STREAMED = r"without streaming=True; data\.stream trains on what is streamed"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda rows: DatasetDict({"train": rows, "test": rows}), rf"datasets\.DatasetDict of train, test; {SPLIT}$"),
        (lambda rows: DatasetDict(), rf"datasets\.DatasetDict of nothing; {SPLIT}$"),
        (
            lambda rows: rows.to_iterable_dataset(),
            rf"datasets\.IterableDataset; load_dataset makes one, {STREAMED}$",
        ),
        (
            lambda rows: IterableDatasetDict({"train": rows.to_iterable_dataset()}),
            rf"datasets\.IterableDatasetDict of train; {SPLIT}, {STREAMED}$",
        ),
        (lambda rows: rows.to_pandas(), r"pandas\.DataFrame; load_dataset makes one$"),
        (lambda rows: "acme/lift", r"builtins\.str; load_dataset makes one$"),
    ],
)
def test_only_a_dataset_opens(rows: Dataset, made: Callable[[Dataset], Any], message: str) -> None:
    with pytest.raises(DatasetError, match=rf"^datasets\.Dataset: expected a datasets\.Dataset, found {message}"):
        tasks_of(made(rows))
