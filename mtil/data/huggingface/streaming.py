"""Demonstrations of streams, for data that are larger than the disk: read in order, in portions.

A stream cannot be read at random, and batches are stratified over tasks. So a portion, which is the next so many
episodes of each stream, is laid down as HDF5 files; batches are drawn from it for so many steps; then the next one
takes its place. What a portion holds is a function of the streams and its number alone.
"""

import itertools
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from mtil.data.defects import reading
from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.huggingface.arrays import one_each
from mtil.data.huggingface.config import ColumnsConfig, StreamConfig
from mtil.data.huggingface.saved import tasks_of
from mtil.data.huggingface.sources import streams_of
from mtil.data.scaling import with_image_size
from mtil.data.scratch import scratch_folder
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError

if TYPE_CHECKING:
    from datasets import Dataset, Features, IterableDataset

HELD_OUT = "held_out"
"""Filter key of the demonstrations that no portion but the first holds, where they validate."""

_AT_ONCE = 64
"""Rows that are read before they are handed on."""


class Portions:
    """Portions of streams, one at a time on the disk, in a folder of the cache that goes when they do.

    Args:
        streams: By name; a row is a step or an episode. Each portion has to hold every task: where a stream is in order
            of its tasks, give one for each.
        columns: Which column is what.
        episodes: Of each stream in a portion, or all that it has; at its end, a stream begins anew.
        held_out: Of each task in each stream, its first ones, which only the first portion holds, under `HELD_OUT`.
        image_size: Height and width that images are scaled to as they are laid down; None: as they are.
        tasks: Names of those wanted; None: all that the first portion has.
    """

    def __init__(
        self,
        streams: dict[str, "IterableDataset"],
        columns: ColumnsConfig,
        *,
        episodes: int,
        held_out: int = 0,
        image_size: int | None = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        self._image_size, self._wanted = image_size, tasks
        self._sources = [_Source(name, stream, columns, episodes, held_out) for name, stream in streams.items()]
        self._columns, self._held_out = columns, held_out
        self._folder = scratch_folder(self, "stream-")
        self._present: Path | None = None
        self._tasks: Sequence[str] | None = tasks

    @staticmethod
    def of(config: StreamConfig, *, image_size: int | None = None, tasks: Sequence[str] | None = None) -> "Portions":
        """The portions that a configuration names.

        Raises:
            DatasetError: There are no such streams.
            OutputError: The cache cannot be written.
        """
        streams = streams_of(config.sources)
        size = {"episodes": config.episodes, "held_out": config.held_out, "image_size": image_size}
        return Portions(streams, config.columns, **size, tasks=tasks)

    def open(self, number: int) -> list[TaskDemos]:
        """The tasks of a portion; what was opened before is gone from the disk. Those that follow are read soonest.

        Raises:
            DatasetError: A stream cannot be read, has defects, or lacks a task that the first portion has.
            OutputError: There is no room.
        """
        rows = [source.portion(number) for source in self._sources]
        folder = self._folder / str(number)
        tasks = self._checked(number, _by_task(self._sources, rows, self._columns))
        for place, episodes in enumerate(tasks.values()):
            smaller = [with_image_size(each, self._image_size) for each in episodes]
            _lay_down(folder / f"{place:06d}.hdf5", smaller, held_out=0 if number else self._held_out)
        found: list[TaskDemos] = [*open_tasks(folder)]
        if self._present not in (None, folder):
            shutil.rmtree(self._present)
        self._present = folder
        return found

    def _checked(self, number: int, found: Mapping[str, list[TaskDemos]]) -> dict[str, list[TaskDemos]]:
        """What is wanted of a portion, which must have it all."""
        named, tasks = ", ".join(source.name for source in self._sources), self._tasks or list(found)
        self._tasks = tasks
        if not set(tasks) <= set(found) or (self._wanted is None and len(found) > len(tasks)):
            whose = "of the first one" if self._wanted is None else "that is wanted"
            raise DatasetError(
                f"{named}: portion {number}: expected demonstrations of every task {whose}, {', '.join(tasks)}; found "
                f"{', '.join(found)}; take more episodes a portion (data.stream.episodes), give each task a stream of "
                "its own, or choose among them (data.tasks)"
            )
        return {name: found[name] for name in found if name in tasks}


@dataclass(frozen=True)
class _Cycle:
    """What repeats itself once the first pass over a stream is over.

    Attributes:
        first: Number of the portion that the first pass did not fill.
        carried: Episodes of the first pass that it begins with.
        length: Episodes of a pass, without those that are held out.
        size: Episodes of a portion, lest it hold one twice no more than the length.
        withheld: Of each task, the episodes that are held out.
    """

    first: int
    carried: int
    length: int
    size: int
    withheld: Counter[Any]

    def offset(self, number: int) -> int | None:
        """Where in a pass a portion begins, if not in the first."""
        beyond = (number - self.first) * self.size - self.carried
        return beyond % self.length if beyond >= 0 else None


class _Source:
    """A stream, from which episodes are taken in order, over and over."""

    def __init__(
        self, name: str, stream: "IterableDataset", columns: ColumnsConfig, episodes: int, held_out: int
    ) -> None:
        self.name = name
        self._stream, self._columns = stream.with_format("arrow"), columns  # so that pictures stay encoded
        self._episodes, self._held_out = episodes, held_out
        self._read, self._next = iter(self._portions()), 0
        self._cycle: _Cycle | None = None

    def portion(self, number: int) -> list[pa.Table]:
        """The rows of each episode of a portion."""
        if number < self._next:
            self._read, self._next = iter(self._portions()), 0
        while self._next < number:
            offset = None if self._cycle is None else self._cycle.offset(number)
            if self._cycle is not None and offset is not None:
                self._read, self._next = self._repeated(self._cycle, skip=offset), number
            else:
                self._advance()
        return self._advance()

    @property
    def features(self) -> "Features | None":
        """Of its rows, if it knows them."""
        return self._stream.features

    def _advance(self) -> list[pa.Table]:
        with reading(Path(self.name)):
            found = next(self._read)
        self._next += 1
        return found

    def _portions(self) -> Iterator[list[pa.Table]]:
        """Without end, passes running into each other; what is held out is in the first portion, and in no other."""
        count, found, done = Counter[Any](), list[pa.Table](), 0
        withheld: Counter[Any] | None = None
        for episode in self._episodes_once():
            count[self._task(episode)] += 1
            found.append(episode)
            if len(found) == self._episodes:
                withheld = withheld or _withheld(count, self._held_out)
                yield found
                found, done = [], done + 1
        if not count:
            raise DatasetError(f"{self.name}: expected episodes, found none")
        if withheld is None:  # all that there is makes one portion
            withheld = _withheld(count, self._held_out)
            yield found
            found, done = [], 1
        length = count.total() - withheld.total()
        if not length:
            told = f"data.stream.held_out is {self._held_out} of a task, data.stream.episodes {self._episodes} of all"
            raise DatasetError(f"{self.name}: expected more episodes than are held out, found {count.total()}; {told}")
        self._cycle = _Cycle(done, len(found), length, min(self._episodes, length), withheld)
        yield from self._repeated(self._cycle, carried=found)

    def _repeated(self, cycle: _Cycle, *, carried: Sequence[pa.Table] = (), skip: int = 0) -> Iterator[list[pa.Table]]:
        """Portions of the passes after the first, so many episodes of which are passed over to begin with."""
        found = list(carried)
        while True:
            count = Counter[Any]()
            for episode in self._episodes_once():
                task = self._task(episode)
                count[task] += 1
                if count[task] <= cycle.withheld[task]:
                    continue
                if skip:
                    skip -= 1
                    continue
                found.append(episode)
                while len(found) >= cycle.size:
                    yield found[: cycle.size]
                    found = found[cycle.size :]

    def _task(self, episode: pa.Table) -> Any:
        return episode[self._columns.task][0].as_py() if self._columns.task in episode.column_names else None

    def _episodes_once(self) -> Iterator[pa.Table]:
        """One pass: the rows of each episode, which ends where its number changes, or its steps begin anew."""
        name, number, parts = self._columns.episode, None, []
        for rows in cast("Iterator[pa.Table]", self._stream.iter(batch_size=_AT_ONCE)):
            if name not in rows.column_names:
                yield from (rows.slice(row, 1) for row in range(len(rows)))
                continue
            told = self._one_each(rows, name)
            begins = np.diff(told, prepend=told[:1] if number is None else number) != 0
            if self._columns.step in rows.column_names:
                begins |= self._one_each(rows, self._columns.step) == 0
            starts = [0, *(np.flatnonzero(begins[1:]) + 1).tolist()]
            for start, end in itertools.pairwise([*starts, len(told)]):
                if parts and begins[start]:
                    yield pa.concat_tables(parts, promote_options="permissive")
                    parts = []
                parts.append(rows.slice(start, end - start))
            number = told[-1]
        if parts:
            yield pa.concat_tables(parts, promote_options="permissive")

    def _one_each(self, rows: pa.Table, name: str) -> np.ndarray:
        try:
            return one_each(rows[name], name)
        except DatasetError as error:
            raise DatasetError(f"{self.name}: {error}") from None


def _withheld(count: Counter[Any], held_out: int) -> Counter[Any]:
    """How many of each task's episodes the first portion holds that no other has."""
    return Counter({task: min(found, held_out) for task, found in count.items()})


def _by_task(
    sources: Sequence[_Source], portions: Sequence[list[pa.Table]], columns: ColumnsConfig
) -> dict[str, list[TaskDemos]]:
    """By name of a task, its demonstrations, of each stream apart; names in order."""
    found: dict[str, list[TaskDemos]] = {}
    for source, episodes in zip(sources, portions, strict=True):
        with reading(Path(source.name)):
            for task in tasks_of(_dataset(episodes, columns, source.features), columns, name=source.name):
                found.setdefault(task.task.name, []).append(task)
    return dict(sorted(found.items()))


def _dataset(episodes: Sequence[pa.Table], columns: ColumnsConfig, features: "Features | None") -> "Dataset":
    """A portion's rows; episodes, whose numbers may come again in another pass, are numbered anew."""
    from datasets import Dataset, DatasetInfo, Features, Value

    table = pa.concat_tables(episodes, promote_options="permissive")
    if columns.episode in table.column_names:
        numbers = pa.array(np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes]))
        table = table.set_column(table.column_names.index(columns.episode), columns.episode, numbers)
        features = None if features is None else Features({**features, columns.episode: Value("int64")})
    return Dataset(table.replace_schema_metadata(), DatasetInfo(features=features), fingerprint="portion")


def _lay_down(path: Path, demonstrations: Sequence[TaskDemos], *, held_out: int) -> None:
    """Write a task's demonstrations of all streams, told in the words of all; of each, the first are held out."""
    first, names = demonstrations[0], itertools.count()
    words = dict.fromkeys(itertools.chain.from_iterable(each.task.instructions for each in demonstrations))
    own = [[next(names) for _ in each.demos] for each in demonstrations]
    masks = {HELD_OUT: [index for indices in own for index in indices[:held_out]]} if held_out else {}
    episodes = (episode for each in demonstrations for episode in each.episodes())
    write_task(path, replace(first.task, instructions=tuple(words)), episodes, env_args=first.env_args, masks=masks)
