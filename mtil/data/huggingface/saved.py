"""Hugging Face datasets as tasks: in memory, or in a folder that `save_to_disk` wrote."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from mtil.data.defects import Findings, reading
from mtil.data.huggingface.config import ColumnsConfig
from mtil.data.huggingface.survey import RowsSurvey, survey
from mtil.data.huggingface.task import RowsTask, rows_task
from mtil.data.survey import conflicts, refuse
from mtil.errors import DatasetError
from mtil.types import Task

if TYPE_CHECKING:
    from datasets import Dataset

_STATE, _INFO, _SPLITS = "state.json", "dataset_info.json", "dataset_dict.json"
_END = b"\xff\xff\xff\xff\0\0\0\0"
"""Of a stream of Arrow, without which rows may be missing (https://arrow.apache.org/docs/format/Columnar.html)."""


def tasks_of(
    dataset: "Dataset", columns: ColumnsConfig | None = None, *, name: str = "datasets.Dataset"
) -> list[RowsTask]:
    """The tasks of a dataset, as `DemoStore.open` takes them.

    Args:
        dataset: Of `datasets`, a row a step or a row an episode.
        columns: Which column is what.
        name: What to call it in messages, where it is in memory.

    Raises:
        DatasetError: It is something else, or has defects; the message tells the first one and how many more there are.
    """
    _check_is_one(dataset, name)
    files = dataset.cache_files
    path = Path(files[0]["filename"]).parent if files else Path(name)
    found = survey(dataset, columns or ColumnsConfig(), path)
    refuse([defect for each in found for defect in each.defects] + conflicts(found), hint="nothing was opened")
    return [rows_task(each) for each in found]


def _check_is_one(found: object, name: str) -> None:
    from datasets import Dataset, DatasetDict, IterableDataset, IterableDatasetDict

    if isinstance(found, Dataset):
        return
    told, hint = f"{type(found).__module__.partition('.')[0]}.{type(found).__name__}", "load_dataset makes one"
    if isinstance(found, DatasetDict | IterableDatasetDict):
        told += f" of {', '.join(map(str, found)) or 'nothing'}"
        hint = "choose a split, by load_dataset(..., split=...) or by its name"
    if isinstance(found, IterableDataset | IterableDatasetDict):
        hint += ", without streaming=True; data.stream trains on what is streamed"
    raise DatasetError(f"{name}: expected a datasets.Dataset, found {told}; {hint}")


def is_saved(folder: Path) -> bool:
    """Whether a folder is a dataset that `datasets` saved."""
    return (folder / _SPLITS).is_file() or ((folder / _STATE).is_file() and (folder / _INFO).is_file())


def survey_saved(folder: Path, *, thorough: bool = False) -> list[RowsSurvey]:
    """Walk through a saved dataset; never raises, whatever state it is in."""
    findings = Findings(str(folder))
    with findings.guard():
        if (folder / _SPLITS).is_file():
            splits = ", ".join(str(path.parent) for path in sorted(folder.glob(f"*/{_STATE}")))
            raise DatasetError(f"expected one dataset, found several splits: {splits}; choose one")
        return survey(_loaded(folder), ColumnsConfig(), folder, thorough=thorough)
    return [RowsSurvey(folder, Task(folder.resolve().name or "task"), defects=tuple(findings.defects))]


def _loaded(folder: Path) -> "Dataset":
    """The dataset; an error tells which of its files it is in, where that can be told."""
    from datasets import Dataset

    for name in (_STATE, _INFO):
        with reading(Path(name)):
            json.loads((folder / name).read_text(encoding="utf-8"))
    found = Dataset.load_from_disk(str(folder))
    for each in found.cache_files:
        path = Path(each["filename"])
        if not _ends_with(path, _END):
            raise DatasetError(f"{path.name}: truncated: expected the mark of its end, found none")
    return found


def _ends_with(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - len(mark)))
        return file.read() == mark
