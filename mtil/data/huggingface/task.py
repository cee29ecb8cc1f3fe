"""One task's episodes of a Hugging Face dataset."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from mtil.data.defects import reading
from mtil.data.huggingface.rows import Place, Rows, images_at
from mtil.data.huggingface.survey import RowsSurvey
from mtil.data.images import Images, Stamp
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError
from mtil.types import Episode


@dataclass(frozen=True)
class RowsTask(TaskDemos):
    """One task's demonstrations.

    Attributes:
        rows: Where they are.
        places: Of each.
        notes: What is not read, in words.
    """

    rows: Rows
    places: tuple[Place, ...]
    notes: tuple[str, ...]

    def images(self, key: str) -> Iterator[Images]:
        for place in self.places:
            yield images_at(self.rows, place, key, self.observations[key])

    def unread(self) -> tuple[str, ...]:
        return self.notes

    def stamp(self) -> Stamp:
        return self.rows.stamp()

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        for name in demos:
            with reading(self.path, name):
                yield self._episode(name, keys)

    def _episode(self, demo: str, keys: Sequence[str]) -> Episode:
        columns, present = self.rows.columns, self.rows.dataset.column_names
        place = self.places[self.demos.index(demo)]

        def numbers(name: str, shape: Sequence[int]) -> np.ndarray:
            with self._reading(demo, name):
                return self.rows.numbers(name, place).astype(np.float32).reshape(place.steps, *shape)

        def signal(name: str, otherwise: np.ndarray) -> np.ndarray:
            return numbers(name, ()) if name in present else otherwise.astype(np.float32)

        def observed(key: str) -> np.ndarray:
            if self.observations[key].kind == "state":
                return numbers(key, self.observations[key].shape)
            with self._reading(demo, key):
                return np.concatenate(list(images_at(self.rows, place, key, self.observations[key]).blocks()))

        return Episode(
            observations={key: observed(key) for key in keys},
            actions=numbers(columns.action, self.action.shape),
            rewards=signal(columns.reward, np.zeros(place.steps)),
            dones=signal(columns.done, np.arange(place.steps) == place.steps - 1),
        )

    @contextmanager
    def _reading(self, demo: str, column: str) -> Iterator[None]:
        """Names where an error is from, since what is read does not know."""
        try:
            with reading(self.path, column):
                yield
        except DatasetError as error:
            told = str(error).removeprefix(f"{self.path}: ").removeprefix(f"{column}: ")
            raise DatasetError(f"{self.path}: {demo}: {column}: {told}") from None


def rows_task(sound: RowsSurvey) -> RowsTask:
    """The episodes of a task in a dataset in which nothing wrong was found, opened."""
    assert sound.rows is not None, "a dataset without defects has rows"
    notes = tuple(f"{note.key} ({note.message})" for note in sound.notes if note.message.startswith("not read"))
    return RowsTask(**sound.found(), rows=sound.rows, places=sound.places, notes=notes)
