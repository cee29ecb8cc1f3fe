"""Demonstrations written as a LeRobot dataset, one episode at a time in memory.

Each task gets files of its own, the table of its episodes last: where that is there, the task is complete, and is kept
when the work is taken up again. `info.json` comes at the very end.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av.error
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mtil.data.cache import digest
from mtil.data.defects import ACTIONS, reading
from mtil.data.lerobot import film, schema, statistics
from mtil.data.lerobot.info import CHUNKS_SIZE, EPISODES, INFO, SIDECAR, STATISTICS, TASKS
from mtil.data.lerobot.tables import open_parquet
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError, OutputError
from mtil.files import replacing, write_json
from mtil.types import Episode, FeatureSpec

_SOURCE = b"mtil_source"


def write_dataset(
    folder: Path,
    tasks: Sequence[TaskDemos],
    *,
    fps: float,
    filmed: bool = False,
    report: Callable[[str, float], None] = lambda *_: None,
) -> tuple[int, int]:
    """Write tasks as a LeRobot dataset v3.0.

    Args:
        folder: Where to.
        tasks: Their demonstrations.
        fps: Steps a second.
        filmed: Whether images become films (which change them a little) instead of pictures (which do not).
        report: Is told the name of a task, and how much of it is done.

    Returns:
        How many tasks were written, and how many kept.

    Raises:
        DatasetError: The tasks do not fit into one such dataset, or cannot be read.
        OutputError: The folder holds something else, or cannot be written.
    """
    specs = _shared(tasks)
    for spec in specs.values():
        if filmed and spec.kind == "image":
            film.check_size(spec.key, spec.shape)
    writer = _Writer(folder, specs, schema.sentences([task.task for task in tasks]), fps, filmed)
    kept = 0
    try:
        for task in tasks:
            kept += writer.add(task, lambda share, name=task.task.name: report(name, share))
        writer.finish(tasks)
    except (OSError, av.error.FFmpegError) as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return len(tasks) - kept, kept


def _shared(tasks: Sequence[TaskDemos]) -> dict[str, FeatureSpec]:
    """The features, which have to be those of every task.

    Raises:
        DatasetError: They are not.
    """
    first = tasks[0]
    specs = {**first.observations, ACTIONS: first.action}
    for task in tasks[1:]:
        found = {**task.observations, ACTIONS: task.action}
        for key in dict.fromkeys((*specs, *found)):
            shapes = [features[key].shape if key in features else "none" for features in (specs, found)]
            if shapes[0] != shapes[1]:
                expected = "expected one shape in all tasks, as a LeRobot dataset has it"
                where = f"{shapes[0]} in {first.path}, {shapes[1]} in {task.path}"
                raise DatasetError(f"{key}: {expected}, found {where}; convert them into folders of their own")
    return specs


@dataclass(frozen=True)
class _Place:
    """How far the numbering has come."""

    task: int = 0
    file: int = 0
    episode: int = 0
    frame: int = 0


class _Writer:
    """Adds task after task.

    Args:
        folder: Where to.
        specs: Observations and action by key.
        sentences: Of the tasks, in their order.
        fps: Steps a second.
        filmed: Whether images become films.
    """

    def __init__(
        self, folder: Path, specs: Mapping[str, FeatureSpec], sentences: Sequence[str], fps: float, filmed: bool
    ) -> None:
        self._folder, self._specs, self._sentences, self._fps, self._filmed = folder, specs, sentences, fps, filmed
        self._features = schema.features(specs, fps, filmed=filmed)
        self._columns = schema.frames(self._features)
        self._info = schema.info(self._features, fps, tasks=len(sentences), episodes=0, frames=0)
        self._place = _Place()
        self._statistics: dict[str, list[statistics.Statistics]] = {name: [] for name in self._features}

    def add(self, task: TaskDemos, report: Callable[[float], None]) -> bool:
        """Write a task, unless it is complete already; tells whether it was."""
        path = self._folder / EPISODES / schema.numbered(self._place.task)
        told = (task.path.name, task.stamp(), task.task, task.demos, self._place, self._fps, self._filmed, self._specs)
        source = digest(*told).encode()
        if complete := path.exists():
            with reading(path), open_parquet(path) as file:
                if (file.schema_arrow.metadata or {}).get(_SOURCE) != source:
                    expected = f"expected what {task.task.name} of {task.path} becomes, found something else"
                    raise OutputError(f"{path}: {expected}; remove it first, or choose another folder")
                rows = file.read().to_pylist()
        else:
            rows = list(self._rows(task, report))
            with replacing(path) as partial:
                table = pa.Table.from_pylist(rows).replace_schema_metadata({_SOURCE: source})
                pq.write_table(table, partial, write_page_checksum=True)
        self._go_on_after(rows)
        report(1.0)
        return complete

    def finish(self, tasks: Sequence[TaskDemos]) -> None:
        """Write what concerns all tasks."""
        with replacing(self._folder / TASKS) as partial:
            pq.write_table(schema.task_table(self._sentences), partial, write_page_checksum=True)
        found = {name: statistics.of_all(each) for name, each in self._statistics.items()}
        totals = {"episodes": self._place.episode, "frames": self._place.frame}
        write_json(self._folder / STATISTICS, statistics.to_json(found), what="statistics")
        write_json(self._folder / SIDECAR, schema.sidecar(tasks), what="names of the tasks")
        info = schema.info(self._features, self._fps, tasks=len(tasks), **totals)
        write_json(self._folder / INFO, info, what="description of the dataset")

    def _go_on_after(self, rows: Sequence[Mapping[str, Any]]) -> None:
        last = rows[-1]
        file = last["data/chunk_index"] * CHUNKS_SIZE + last["data/file_index"]
        self._place = _Place(self._place.task + 1, file + 1, last["episode_index"] + 1, last["dataset_to_index"])
        for row in rows:
            for name, all_found in self._statistics.items():
                all_found.append({each: np.asarray(row[f"stats/{name}/{each}"]) for each in statistics.NAMES})

    def _rows(self, task: TaskDemos, report: Callable[[float], None]) -> Iterator[dict[str, Any]]:
        """Write a task's frames; yields what the table of episodes tells of each."""
        episodes = task.episodes()
        place, done = self._place, 0
        while (first := next(episodes, None)) is not None:
            for row in self._part(itertools.chain([first], episodes), place):
                yield row
                place = _Place(place.task, place.file, row["episode_index"] + 1, row["dataset_to_index"])
                done += 1
                report(done / len(task.demos))
            place = _Place(place.task, place.file + 1, place.episode, place.frame)

    def _part(self, episodes: Iterator[Episode], place: _Place) -> Iterator[dict[str, Any]]:
        """Write a file of frames and one of each camera, until there are no more episodes or one of them is full."""
        chunk, file = divmod(place.file, CHUNKS_SIZE)
        where = {"chunk_index": chunk, "file_index": file}
        frame = place.frame
        with ExitStack() as stack:
            data = stack.enter_context(_table(self._path("data_path", **where), self._columns))
            films = {
                name: stack.enter_context(_film(self._path("video_path", video_key=name, **where), self._fps))
                for name, feature in self._features.items()
                if feature["dtype"] == "video"
            }
            for number, episode in enumerate(episodes, place.episode):
                values = schema.arrays(self._specs, episode, self._fps, number=number, first=frame, task=place.task)
                row = schema.episode_row(values, self._sentences[place.task], number, frame, place.task, where)
                for name, each in films.items():
                    row |= schema.film_span(name, where, each.frames, len(episode), self._fps)
                    each.write(values[name])
                data.write(schema.frame_table(values, self._columns))
                frame += len(episode)
                yield row
                if data.size > schema.DATA_SIZE * 1e6 or any(f.size > schema.FILM_SIZE * 1e6 for f in films.values()):
                    return

    def _path(self, template: str, **values: Any) -> Path:
        return self._folder / self._info[template].format(**values)


class _Table:
    """A table of frames that grows by episodes, each a group of rows that can be read alone."""

    def __init__(self, file: BinaryIO, columns: pa.Schema) -> None:
        self._file = file
        self._writer = pq.ParquetWriter(file, columns, write_page_checksum=True)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._file.tell()

    def write(self, rows: pa.Table) -> None:
        self._writer.write_table(rows, row_group_size=len(rows))

    def close(self) -> None:
        self._writer.close()


@contextmanager
def _table(path: Path, columns: pa.Schema) -> Iterator[_Table]:
    with replacing(path) as partial, partial.open("wb") as file, closing(_Table(file, columns)) as table:
        yield table


@contextmanager
def _film(path: Path, fps: float) -> Iterator[film.FilmWriter]:
    with replacing(path) as partial, film.FilmWriter(partial, fps=fps) as writer:
        yield writer
