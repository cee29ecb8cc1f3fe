"""A dataset in another format, or in the same one as it is read fastest, for `mtil convert`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import h5py
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtil.data.corrections import Correction, corrected
from mtil.data.defects import reading
from mtil.data.formats import open_tasks
from mtil.data.hdf5.repacking import Repacking
from mtil.data.hdf5.task_file import TaskFile, holds_a_task, open_task
from mtil.data.hdf5.writing import write_task
from mtil.data.lerobot.writing import write_dataset
from mtil.data.sources import located
from mtil.data.task_demos import TaskDemos
from mtil.errors import ConfigError, DatasetError, OutputError, unknown
from mtil.files import replacing
from mtil.types import Episode

LAYOUTS = ("hdf5", "lerobot")
DEFAULT_FPS = 10.0
"""Steps a second, where nobody tells."""

Report = Callable[[str, float, int], None]
"""Receives the name of a file or task, how much of it is done (the last time: 1), and the number of them."""


@dataclass(frozen=True)
class Converted:
    """What became of a dataset.

    Attributes:
        written: How many files or tasks were written.
        kept: How many were there already.
        notes: What the new format has no place for, and what had to be assumed.
    """

    written: int
    kept: int
    notes: tuple[str, ...] = ()


def convert(
    source: Path,
    destination: Path,
    *,
    layout: str,
    corrections: Sequence[Correction] = (),
    filmed: bool = False,
    fps: float | None = None,
    report: Report = lambda *_: None,
) -> Converted:
    """Write a dataset anew, in memory for one demonstration at a time.

    Run again, it finishes what was interrupted: a file appears whole or not at all, and one that is there already is
    kept if it is what would be written.

    Args:
        source: A dataset in any format, here or on the Hub.
        destination: A folder; for a single HDF5 file as another, a file, or a folder to put it into.
        layout: One of `LAYOUTS`. From HDF5 to HDF5, all there is remains as it is, contiguous and uncompressed.
        corrections: What is to be put right on the way.
        filmed: Whether the images of a LeRobot dataset become films.
        fps: Steps a second of a LeRobot dataset; None: what the source tells.
        report: Is told of the progress.

    Raises:
        ConfigError: There is no such layout, or it has no use for an option.
        DatasetError: The source has defects, cannot be read, or does not fit the layout.
        OutputError: The destination holds something else, is the source, or cannot be written.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"--to: {unknown('layout', layout, LAYOUTS)}")
    if layout == "hdf5" and (filmed or fps is not None):
        raise ConfigError("--film, --fps: expected with --to lerobot alone")
    source = located(source)
    tasks = [corrected(task, corrections) for task in open_tasks(source)]
    if layout == "lerobot":
        return _to_lerobot(tasks, source, destination, filmed=filmed, fps=fps, report=report)
    return _to_hdf5(tasks, source, destination, report)


def _to_lerobot(
    tasks: Sequence[TaskDemos], source: Path, destination: Path, *, filmed: bool, fps: float | None, report: Report
) -> Converted:
    if destination.exists() and destination.samefile(source):
        raise OutputError(f"{destination}: expected another place than that of the source, found the source itself")
    if strange := _strange_to_lerobot(destination):
        expected = "expected a new folder, or a LeRobot dataset left unfinished"
        raise OutputError(f"{destination}: {expected}, found {strange}")
    told, notes = fps or _fps(tasks), _not_kept(tasks)
    if told is None:
        notes += (f"assumed: {DEFAULT_FPS:g} steps a second, which nothing tells (--fps)",)
    if filmed:
        notes += ("not kept: the images' exact values, which films change a little",)
    written, kept = write_dataset(
        destination,
        tasks,
        fps=told or DEFAULT_FPS,
        filmed=filmed,
        report=lambda name, share: report(name, share, len(tasks)),
    )
    return Converted(written, kept, notes)


def _strange_to_lerobot(folder: Path) -> str | None:
    """What is in a folder, or in its place, that is no part of a LeRobot dataset."""
    if not folder.is_dir():
        return "a file" if folder.exists() else None
    return next((path.name for path in sorted(folder.iterdir()) if path.name not in ("meta", "data", "videos")), None)


def _fps(tasks: Sequence[TaskDemos]) -> float | None:
    """Steps a second, in robosuite's words, where all tasks tell the same."""
    told = {kwargs.get("control_freq") for task in tasks if isinstance(kwargs := task.env_args.get("env_kwargs"), dict)}
    only = told.pop() if len(told) == 1 else None
    return float(only) if isinstance(only, int | float) and only > 0 else None


def _not_kept(tasks: Sequence[TaskDemos]) -> tuple[str, ...]:
    return tuple(f"not kept: {name}" for name in dict.fromkeys(name for task in tasks for name in task.unread()))


def _to_hdf5(tasks: Sequence[TaskDemos], source: Path, destination: Path, report: Report) -> Converted:
    repacked = all(isinstance(task, TaskFile) for task in tasks)
    targets = _targets(tasks, source, destination)
    _check_strangers(source, destination, targets)
    same = _is_repacked if repacked else _is_written
    kept = [target for target, task in targets.items() if target.exists() and same(task, target)]
    for target, task in targets.items():

        def tell(share: float, name: str = target.name) -> None:
            report(name, share, len(targets))

        if target not in kept:
            _repack(task.path, target, tell) if repacked else _write(task, target, tell)
        tell(1.0)
    return Converted(len(targets) - len(kept), len(kept), () if repacked else _not_kept(tasks))


def _targets(tasks: Sequence[TaskDemos], source: Path, destination: Path) -> dict[Path, TaskDemos]:
    """By the file to write, what it is to hold."""
    if not source.is_dir() and holds_a_task(destination):
        return {destination: tasks[0]}
    if holds_a_task(tasks[0].path):
        return {destination / task.path.name: task for task in tasks}
    return {destination / f"{task.task.name}.hdf5": task for task in tasks}


def _check_strangers(source: Path, destination: Path, targets: dict[Path, TaskDemos]) -> None:
    """What is converted is a dataset of its own: files of another one beside it would become part of it."""
    for target, task in targets.items():
        if target.exists() and target.samefile(task.path):
            raise OutputError(f"{target}: expected another place than that of the source, found the source itself")
    if source.is_dir() and destination.is_dir():
        for present in filter(holds_a_task, destination.iterdir()):
            if present not in targets:
                raise OutputError(f"{present}: expected only files that {source} has, too, in the destination")


def _is_repacked(task: TaskDemos, target: Path) -> bool:
    """Whether a file is what would be written.

    Raises:
        OutputError: It is something else.
    """
    source = task.path
    with reading(source), h5py.File(source, "r") as opened, reading(target), target.open("rb") as found:
        blocks = Repacking(opened).blocks()
        if all(found.read(len(block)) == block for block in blocks) and not found.read(1):
            return True
    raise OutputError(f"{target}: exists already, and is not what {source} would become; remove it first")


def _is_written(task: TaskDemos, target: Path) -> bool:
    """Whether a file holds what would be written.

    Raises:
        OutputError: It holds something else.
    """
    try:
        found = open_task(target)
        if _told(found) == _told(task):
            pairs = zip(found.episodes(), task.episodes(), strict=True)
            if all(one.equals(other) for one, other in pairs):
                return True
    except DatasetError:
        pass
    raise OutputError(f"{target}: exists already, and is not what {task.path} would become; remove it first")


def _told(task: TaskDemos) -> tuple[object, ...]:
    return task.task, task.demos, task.lengths, task.observations, task.action, task.masks, task.env_args


def _repack(source: Path, target: Path, report: Callable[[float], None]) -> None:
    with reading(source), h5py.File(source, "r") as opened:
        repacking = Repacking(opened)
        try:
            with replacing(target) as partial, partial.open("wb") as file:
                for block in repacking.blocks():
                    file.write(block)
                    report(file.tell() / repacking.size)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None


def _write(task: TaskDemos, target: Path, report: Callable[[float], None]) -> None:
    def episodes() -> Iterator[Episode]:
        for done, episode in enumerate(task.episodes()):
            report(done / len(task.demos))
            yield episode

    masks = {key: [task.demos.index(name) for name in names] for key, names in task.masks.items()}
    write_task(target, task.task, episodes(), env_args=task.env_args, masks=masks, demos=task.demos)


@contextmanager
def progress_bar(console: Console | None = None) -> Iterator[Report]:
    """Show files done of all; yields what `convert` takes as `report`.

    Args:
        console: Where to show it; by default standard error.
    """
    columns = (TextColumn("converting"), BarColumn(), MofNCompleteColumn(), TextColumn("files"), TimeRemainingColumn())
    done: dict[str, float] = {}
    with Progress(*columns, TextColumn("{task.description}"), console=console or Console(stderr=True)) as bar:

        def show(name: str, share: float, files: int) -> None:
            if not done:
                bar.add_task("", total=files)
            done[name] = share
            bar.update(bar.task_ids[0], description=name, completed=sum(done.values()))

        yield show
