"""One task's episodes of a LeRobot dataset."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from mtil.data.defects import ACTIONS, Findings, reading
from mtil.data.images import Images, Stamp
from mtil.data.lerobot.contents import Contents, EpisodePlace
from mtil.data.lerobot.features import DONE, REWARD, columns_of
from mtil.data.lerobot.images import images_at
from mtil.data.lerobot.info import INFO
from mtil.data.lerobot.survey import LeRobotSurvey
from mtil.data.lerobot.tables import numbers, read_table
from mtil.data.task_demos import TaskDemos
from mtil.types import Episode


@dataclass(frozen=True)
class LeRobotTask(TaskDemos):
    """One task's demonstrations among those of a LeRobot dataset.

    Attributes:
        contents: Of the dataset.
        places: Where each demonstration lies.
    """

    contents: Contents
    places: tuple[EpisodePlace, ...]

    def images(self, key: str) -> Iterator[Images]:
        with reading(self.path, key):
            for place in self.places:
                yield images_at(self.contents, place, key)

    def unread(self) -> tuple[str, ...]:
        findings = Findings(str(self.path))
        columns_of(self.contents.info.features, findings)
        return tuple(f"{note.key} ({note.message})" for note in findings.notes)

    def stamp(self) -> Stamp:
        with reading(self.path):
            return Stamp.of(self.path / INFO)

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        places = [self.places[self.demos.index(name)] for name in demos]
        columns = self.contents.columns
        names = [name for key, name in columns.states.items() if key in keys or key == ACTIONS]
        for file, its in itertools.groupby(places, lambda place: place.file):
            with reading(self.path / file):
                table = read_table(self.path / file, [*names, *columns.signals])
            for place in its:
                yield self._episode(table.slice(place.row, place.length), place, keys)

    def _episode(self, rows: pa.Table, place: EpisodePlace, keys: Sequence[str]) -> Episode:
        columns = self.contents.columns

        def state(key: str) -> np.ndarray:
            return numbers(rows, columns.states[key], columns.specs[key].shape[0]).astype(np.float32, copy=False)

        def signal(name: str, otherwise: np.ndarray) -> np.ndarray:
            found = numbers(rows, name) if name in columns.signals else otherwise
            return found.astype(np.float32)

        with reading(self.path / place.file):
            return Episode(
                observations={key: state(key) if key in columns.states else self._images(place, key) for key in keys},
                actions=state(ACTIONS),
                rewards=signal(REWARD, np.zeros(place.length)),
                dones=signal(DONE, np.arange(place.length) == place.length - 1),
            )

    def _images(self, place: EpisodePlace, key: str) -> np.ndarray:
        return np.concatenate(list(images_at(self.contents, place, key).blocks()))


def lerobot_task(sound: LeRobotSurvey) -> LeRobotTask:
    """The episodes of a task in a dataset in which nothing wrong was found, opened."""
    assert sound.contents is not None, "a dataset without defects has contents"
    return LeRobotTask(
        **sound.found(),
        contents=sound.contents,
        places=tuple(sound.contents.of(sound.position).values()),
    )
