"""A Minari dataset as one task's demonstrations."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import h5py
import numpy as np

from mtil.data.defects import ACTIONS, Findings, reading
from mtil.data.hdf5.images import images_of
from mtil.data.images import Images, Stamp
from mtil.data.minari.episodes import observations, read_rows
from mtil.data.minari.jpeg import Jpegs, decode_rows, is_encoded
from mtil.data.minari.survey import DATA, MinariSurvey
from mtil.data.task_demos import TaskDemos
from mtil.types import Episode


@dataclass(frozen=True)
class MinariTask(TaskDemos):
    """The episodes of a dataset.

    Attributes:
        groups: Names of their groups, in the order of `demos`.
        notes: What is not read, in words.
    """

    groups: tuple[str, ...]
    notes: tuple[str, ...]

    def images(self, key: str) -> Iterator[Images]:
        with reading(self.path / DATA), h5py.File(self.path / DATA, "r") as file:
            for name, steps in zip(self.groups, self.lengths, strict=True):
                array = self._observations(file, name)[key]
                if is_encoded(array):
                    yield Jpegs(self.path / DATA, self.stamp(), steps, str(array.name), self.observations[key].shape)
                else:
                    yield replace(images_of(array), steps=steps)

    def unread(self) -> tuple[str, ...]:
        return (*self.notes, "the observation after the last action")

    def stamp(self) -> Stamp:
        with reading(self.path / DATA):
            return Stamp.of(self.path / DATA)

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        with reading(self.path / DATA), h5py.File(self.path / DATA, "r") as file:
            for name in demos:
                place = self.demos.index(name)
                yield self._episode(file, self.groups[place], self.lengths[place], keys)

    def _episode(self, file: h5py.File, name: str, steps: int, keys: Sequence[str]) -> Episode:
        def read(key: str) -> np.ndarray:
            array = file[f"{name}/{key}"]
            assert isinstance(array, h5py.Dataset)
            return read_rows(array, steps)

        found = self._observations(file, name)
        return Episode(
            observations={key: self._rows(key, found[key], steps) for key in keys},
            actions=read(ACTIONS),
            rewards=read("rewards"),
            dones=np.maximum(read("terminations"), read("truncations")),
        )

    def _rows(self, key: str, array: h5py.Dataset, steps: int) -> np.ndarray:
        if not is_encoded(array):
            return read_rows(array, steps)
        return decode_rows(array[:steps], self.observations[key].shape, where=f"{self.path / DATA}: {array.name}")

    def _observations(self, file: h5py.File, name: str) -> dict[str, h5py.Dataset]:
        group = file[name]
        assert isinstance(group, h5py.Group)
        return dict(observations(group, Findings(str(self.path))))


def minari_task(sound: MinariSurvey) -> MinariTask:
    """A dataset in which nothing wrong was found, opened."""
    return MinariTask(
        **sound.found(),
        groups=sound.groups,
        notes=tuple(f"{note.key} ({note.message})" for note in sound.notes),
    )
