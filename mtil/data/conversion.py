"""A dataset in another layout, or in the same one as it is read fastest, for `mtil convert`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from mtil.data.defects import reading
from mtil.data.hdf5 import holds_a_task, open_tasks
from mtil.data.repacking import Repacking
from mtil.errors import ConfigError, OutputError, unknown
from mtil.files import replacing

LAYOUTS = ("hdf5",)

Report = Callable[[str, float, int], None]
"""Receives the name of a file, how much of it is done (the last time: 1), and the number of files."""


def convert(source: Path, destination: Path, *, layout: str, report: Report = lambda *_: None) -> tuple[int, int]:
    """Write a dataset anew, contiguous and uncompressed, every value as it is.

    Run again, it finishes what was interrupted: a file appears whole or not at all, and one that is there already is
    kept if it is what would be written.

    Args:
        source: A file or folder of demonstrations.
        destination: For a folder, a folder; for a file, a file, or a folder to put it into.
        layout: One of `LAYOUTS`.
        report: Is told of the progress.

    Returns:
        How many files were written, and how many kept.

    Raises:
        ConfigError: There is no such layout.
        DatasetError: The source has defects, or cannot be read.
        OutputError: The destination holds something else, is the source, or cannot be written.
    """
    if layout not in LAYOUTS:
        raise ConfigError(f"--to: {unknown('layout', layout, LAYOUTS)}")
    targets = _targets([file.path for file in open_tasks(source)], source, destination)
    _check_strangers(source, destination, targets)
    kept = [target for target, path in targets.items() if target.exists() and _is_written(path, target)]
    for target, path in targets.items():
        if target not in kept:
            _write(path, target, lambda share, name=target.name: report(name, share, len(targets)))
        report(target.name, 1.0, len(targets))
    return len(targets) - len(kept), len(kept)


def _targets(files: list[Path], source: Path, destination: Path) -> dict[Path, Path]:
    """By the file to write, the one to read."""
    if not source.is_dir() and holds_a_task(destination):
        return {destination: files[0]}
    return {destination / file.name: file for file in files}


def _check_strangers(source: Path, destination: Path, targets: dict[Path, Path]) -> None:
    """What is converted is a dataset of its own: files of another one beside it would become part of it."""
    for target, path in targets.items():
        if target.exists() and target.samefile(path):
            raise OutputError(f"{target}: expected another place than that of the source, found the source itself")
    if source.is_dir() and destination.is_dir():
        for present in filter(holds_a_task, destination.iterdir()):
            if present not in targets:
                raise OutputError(f"{present}: expected only files that {source} has, too, in the destination")


def _is_written(source: Path, target: Path) -> bool:
    """Whether a file is what would be written.

    Raises:
        OutputError: It is something else.
    """
    with reading(source), h5py.File(source, "r") as opened, reading(target), target.open("rb") as found:
        blocks = Repacking(opened).blocks()
        if all(found.read(len(block)) == block for block in blocks) and not found.read(1):
            return True
    raise OutputError(f"{target}: exists already, and is not what {source} would become; remove it first")


def _write(source: Path, target: Path, report: Callable[[float], None]) -> None:
    with reading(source), h5py.File(source, "r") as opened:
        repacking = Repacking(opened)
        try:
            with replacing(target) as partial, partial.open("wb") as file:
                for block in repacking.blocks():
                    file.write(block)
                    report(file.tell() / repacking.size)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written: {error.strerror or error}") from None


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
