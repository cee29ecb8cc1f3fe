"""One task's demonstrations on disk, in whatever format."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtil.data.images import Images, Stamp
from mtil.errors import DatasetError, unknown
from mtil.types import Episode, FeatureSpec, Task


@dataclass(frozen=True)
class TaskDemos(ABC):
    """One task's demonstrations, checked when they were opened.

    Attributes:
        path: The file or folder that holds them, perhaps with those of other tasks.
        task: The task that all of them solve.
        demos: Their names, in order, e.g. `"demo_0"`.
        lengths: Steps of each.
        observations: Specs of the observations by key.
        action: Spec of the actions.
        masks: Names of demonstrations by filter key, e.g. `"train"`.
        env_args: What robomimic needs to know of the environment: `env_name`, `type`, `env_kwargs`.
    """

    path: Path
    task: Task
    demos: tuple[str, ...]
    lengths: tuple[int, ...]
    observations: Mapping[str, FeatureSpec]
    action: FeatureSpec
    masks: Mapping[str, tuple[str, ...]]
    env_args: Mapping[str, Any]

    def read(self, demo: str, keys: Iterable[str] | None = None) -> Episode:
        """One demonstration; see `episodes`."""
        return next(self.episodes(keys, [demo]))

    def episodes(self, keys: Iterable[str] | None = None, demos: Iterable[str] | None = None) -> Iterator[Episode]:
        """Demonstrations one after the other, what holds them being opened once.

        Images come as uint8; states, actions, rewards and dones as float32, whatever they are stored as.

        Args:
            keys: Observations to read; by default all.
            demos: Names of the demonstrations; by default all, in order.

        Raises:
            DatasetError: A name does not exist, or what holds them cannot be read any more.
        """
        wanted = self._known("observation", keys, list(self.observations))
        return self._read(self._known("demonstration", demos, self.demos), wanted)

    @abstractmethod
    def images(self, key: str) -> Iterator[Images]:
        """Where the images of each demonstration lie, in order.

        Raises:
            DatasetError: What holds them cannot be read any more.
        """

    @abstractmethod
    def unread(self) -> tuple[str, ...]:
        """What is stored beside, and is not read: names, perhaps with words about them.

        Raises:
            DatasetError: What holds them cannot be read any more.
        """

    @abstractmethod
    def stamp(self) -> Stamp:
        """Tells whether what holds them was written to.

        Raises:
            DatasetError: It is not there any more.
        """

    @abstractmethod
    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        """Demonstrations one after the other, whose names and keys there are."""

    def _known(self, what: str, names: Iterable[str] | None, valid: Sequence[str]) -> list[str]:
        chosen = list(valid if names is None else names)
        for name in chosen:
            if name not in valid:
                raise DatasetError(f"{self.path}: {unknown(what, name, valid)}")
        return chosen
