"""A dataset pushed to the Hub, with a card that tells what it holds."""

from fnmatch import fnmatchcase
from pathlib import Path

from mtil.data.card import dataset_card
from mtil.data.formats import is_lerobot, surveys
from mtil.data.hdf5.task_file import holds_a_task, task_files
from mtil.data.lerobot.info import VERSION
from mtil.data.sources import HDF5, LEROBOT
from mtil.data.survey import conflicts, refuse
from mtil.errors import DatasetError
from mtil.hub.names import HubName
from mtil.hub.pushing import CARD, push


def push_dataset(source: Path, name: HubName, *, private: bool = False) -> str:
    """Push a dataset as it is, if nothing is wrong with it; the card is its own README.md, or written.

    A LeRobot dataset is tagged with the version of its format, which LeRobot looks for.

    Args:
        source: A file or folder.
        name: Of the repository, which is made if it is not there.
        private: Whether others may not see it.

    Returns:
        Where it can be seen.

    Raises:
        DatasetError: There is none here, or it has defects.
        HubError: It cannot be written to the Hub.
    """
    if not source.exists():
        raise DatasetError(f"{source}: no such file or folder; expected a run, an export or demonstrations to push")
    found = surveys(source)
    refuse(
        [defect for each in found for defect in each.defects] + conflicts(found), hint=f"see `mtil inspect {source}`"
    )
    lerobot = is_lerobot(source)
    if not lerobot and source.is_dir() and not any(map(holds_a_task, source.iterdir())):
        hint = f"convert it first: mtil convert {source} DIR --to lerobot"
        raise DatasetError(f"{source}: expected HDF5 files or a LeRobot dataset to push, found another format; {hint}")
    own = source / CARD
    return push(
        name,
        _lerobot_files(source) if lerobot else {file.name: file for file in task_files(source)},
        own.read_text(encoding="utf-8") if own.is_file() else dataset_card(str(name), found, lerobot=lerobot),
        kind="dataset",
        owned=LEROBOT if lerobot else HDF5,
        private=private,
        tag=VERSION if lerobot else None,
    )


def _lerobot_files(folder: Path) -> dict[str, Path]:
    """All that is read of one, by path below its folder."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: file for name, file in files.items() if any(fnmatchcase(name, pattern) for pattern in LEROBOT)}
