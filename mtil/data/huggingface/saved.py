"""Hugging Face datasets as tasks: in memory, or in a folder that `save_to_disk` wrote."""

from pathlib import Path
from typing import TYPE_CHECKING

from mtil.data.defects import Findings
from mtil.data.huggingface.columns import Columns
from mtil.data.huggingface.survey import RowsSurvey, survey
from mtil.data.huggingface.task import RowsTask, rows_task
from mtil.data.survey import conflicts, refuse
from mtil.types import Task

if TYPE_CHECKING:
    from datasets import Dataset

_STATE, _INFO = "state.json", "dataset_info.json"
_IN_MEMORY = "datasets.Dataset"  # a name for what has no path


def tasks_of(dataset: "Dataset", columns: Columns | None = None) -> list[RowsTask]:
    """The tasks of a dataset, as `DemoStore.open` takes them.

    Args:
        dataset: Of `datasets`, a row a step or a row an episode.
        columns: Which column is what.

    Raises:
        DatasetError: It has defects; the message tells the first one and how many more there are.
    """
    files = dataset.cache_files
    path = Path(files[0]["filename"]).parent if files else Path(_IN_MEMORY)
    found = survey(dataset, columns or Columns(), path)
    refuse([defect for each in found for defect in each.defects] + conflicts(found), hint="nothing was opened")
    return [rows_task(each) for each in found]


def is_saved(folder: Path) -> bool:
    """Whether a folder is a dataset that `datasets` saved."""
    return (folder / _STATE).is_file() and (folder / _INFO).is_file()


def survey_saved(folder: Path, *, thorough: bool = False) -> list[RowsSurvey]:
    """Walk through a saved dataset; never raises, whatever state it is in."""
    from datasets import Dataset

    findings = Findings(str(folder))
    with findings.guard():
        return survey(Dataset.load_from_disk(str(folder)), Columns(), folder, thorough=thorough)
    return [RowsSurvey(folder, Task(folder.resolve().name or "task"), defects=tuple(findings.defects))]
