"""What opens as tasks, and what does not."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict, IterableDatasetDict

from mtil.data.formats import open_tasks
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


@pytest.fixture
def saved(rows: Dataset, tmp_path: Path) -> Path:
    rows.save_to_disk(str(tmp_path / "saved"))
    return tmp_path / "saved"


@pytest.mark.parametrize("name", ["state.json", "dataset_info.json"])
def test_an_error_tells_which_file_it_is_in(saved: Path, name: str) -> None:
    (saved / name).write_text("{]")
    with pytest.raises(DatasetError, match=rf"saved: {name}: cannot be read: Expecting property name"):
        open_tasks(saved)


def test_a_file_that_ends_between_two_pieces_is_truncated(saved: Path) -> None:
    """Arrow reads it as if it were whole."""
    (file,) = saved.glob("*.arrow")
    whole = pa.ipc.open_stream(file.read_bytes()).read_all()
    written = io.BytesIO()
    with pa.ipc.new_stream(written, whole.schema) as writer:
        writer.write_table(whole.slice(0, 7))  # two episodes of four
        file.write_bytes(written.getvalue())
    with pytest.raises(DatasetError, match=f"saved: {file.name}: truncated: expected the mark of its end, found none"):
        open_tasks(saved)
    file.write_bytes(written.getvalue())
    assert [task.lengths for task in open_tasks(saved)] == [(4,), (3,)]


def test_names_that_cannot_be_written_are_refused(saved: Path) -> None:
    """JSON may hold halves of characters; a message does not."""
    info = saved / "dataset_info.json"
    told = info.read_text()
    info.write_text(told.replace("push it", r"push\ud800"))
    with pytest.raises(DatasetError, match=r"task: row 4: expected a task's sentence or name, found 'push\\ud800'"):
        open_tasks(saved)
    info.write_text(told.replace("float32", r"float\ud800"))
    with pytest.raises(DatasetError, match=r"float\\ud800") as error:
        open_tasks(saved)
    assert str(error.value).isascii()
