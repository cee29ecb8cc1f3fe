"""Which format a dataset is in, and its tasks opened: the one place that knows all formats."""

from collections.abc import Sequence
from pathlib import Path

from mtil.data.defects import Findings
from mtil.data.hdf5.survey import survey as survey_file
from mtil.data.hdf5.task_file import count_demos, task_file, task_files
from mtil.data.huggingface.saved import is_saved, survey_saved
from mtil.data.huggingface.survey import RowsSurvey
from mtil.data.huggingface.task import rows_task
from mtil.data.lerobot.contents import read_contents
from mtil.data.lerobot.info import INFO
from mtil.data.lerobot.survey import LeRobotSurvey
from mtil.data.lerobot.survey import survey as survey_folder
from mtil.data.lerobot.task import lerobot_task
from mtil.data.minari.survey import MinariSurvey, datasets
from mtil.data.minari.survey import survey as survey_minari
from mtil.data.minari.task import minari_task
from mtil.data.sources import located
from mtil.data.survey import Survey, conflicts, refuse
from mtil.data.task_demos import TaskDemos


def open_tasks(path: Path) -> list[TaskDemos]:
    """Open a dataset: a robomimic or LIBERO file, a folder with one a task, LeRobot's or Minari's, one that
    Hugging Face's `datasets` saved; or one on the Hub.

    Raises:
        DatasetError: There is none, or it has defects; the message tells the first one and how many more there are.
    """
    found = surveys(path)
    defects = [defect for each in found for defect in each.defects] + conflicts(found)
    refuse(defects, hint=f"see `mtil inspect {path}`")
    return [_opened(each) for each in found]


def surveys(path: Path, *, thorough: bool = False) -> Sequence[Survey]:
    """Walk through a dataset, whatever state it is in.

    Args:
        path: A file or folder, or a name on the Hub.
        thorough: Whether to decode images, which finds damage within them.

    Raises:
        DatasetError: There is no such path, or no demonstrations in it.
    """
    path = located(path)
    if is_lerobot(path):
        return survey_folder(path, thorough=thorough)
    if is_saved(path):
        return survey_saved(path, thorough=thorough)
    if minari := datasets(path):
        return [survey_minari(each, thorough=thorough) for each in minari]
    return [survey_file(file, decompress_images=thorough) for file in task_files(path)]


def demo_counts(path: Path) -> dict[str, int]:
    """How many demonstrations of each task a dataset holds, by its own word: they are not looked at, nor fetched.

    Raises:
        DatasetError: It cannot be read.
    """
    path = located(path, local=True)
    if is_saved(path):
        return {found.task.name: len(found.lengths) for found in survey_saved(path)}
    if minari := datasets(path):
        return {found.task.name: len(found.lengths) for found in map(survey_minari, minari)}
    if not is_lerobot(path):
        return {file.stem: count_demos(file) for file in task_files(path)}
    contents = read_contents(path, findings := Findings(str(path)))
    refuse(findings.defects, hint=f"see `mtil inspect {path}`")
    return {} if contents is None else {told.name: len(told.demos) for told in contents.told}


def _opened(sound: Survey) -> TaskDemos:
    match sound:
        case LeRobotSurvey():
            return lerobot_task(sound)
        case MinariSurvey():
            return minari_task(sound)
        case RowsSurvey():
            return rows_task(sound)
        case _:
            return task_file(sound)


def is_lerobot(path: Path) -> bool:
    """Whether a folder says that it is a LeRobot dataset."""
    return (path / INFO).is_file()
