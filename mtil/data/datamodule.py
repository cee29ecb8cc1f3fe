"""Demonstrations as batches, for Lightning.

Legend: B batch, W windows, T tasks.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from mtil.data.batch import Batch
from mtil.data.clips import Clips, Prepare, clips_of, held_out_clips
from mtil.data.config import DataConfig, StratifiedSampling
from mtil.data.huggingface.streaming import Portions
from mtil.data.kinds import DescriptorKind
from mtil.data.quotas import Group, Strata, quotas, task_weights
from mtil.data.sampling import SequentialBatchSampler, StratifiedBatchSampler
from mtil.data.split import split
from mtil.data.store import DemoStore
from mtil.data.videos import read_videos
from mtil.data.window_dataset import WindowDataset
from mtil.errors import ConfigError, DatasetError
from mtil.types import DatasetSpec


class _BatchLoader(DataLoader[Batch]):
    """Without workers, batches come straight from the dataset: by PyTorch's own iterator they take a third longer."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        if self.num_workers:
            return super().__iter__()
        batches = map(self.dataset.__getitems__, self.batch_sampler)  # type: ignore[attr-defined]
        return map(Batch.pin_memory, batches) if self.pin_memory else batches


class DemoDataModule(LightningDataModule):
    """Stratified training batches and sequential validation batches of a dataset on disk.

    Args:
        config: Where the data lie, and how they are sampled.
        history: Observations in a window.
        chunk: Actions in a window.
        kinds: Kinds of descriptor, one of each for every example, and how often it is conditioned on that one.
        frames: Of a clip, where tasks are shown.
        vocabulary: Of earlier tasks, which those of the data join.
        seed: Decides the split, the batches and the descriptors.

    Attributes:
        store: All demonstrations.
        train: Windows to train on.
        validation: Windows held out.
        statistics: Of each feature, over the training demonstrations.
        own_statistics: The same of each embodiment, where there are several.
        task_weights: Relative weight of each task in the objective; zero where there are no demonstrations of it.

    Raises:
        DatasetError: The data cannot be trained on.
        ConfigError: The sampling does not fit the data, or the chunk no episode.
    """

    def __init__(
        self,
        config: DataConfig,
        *,
        history: int,
        chunk: int,
        kinds: Mapping[DescriptorKind, float],
        frames: int | None = None,
        vocabulary: DatasetSpec | None = None,
        seed: int,
    ) -> None:
        super().__init__()
        self._config, self._seed, self._frames = config, seed, frames
        self._telling = {"history": history, "chunk": chunk, "kinds": kinds, "goals": config.goals, "seed": seed}
        self._portions = None
        if config.stream is not None:
            self._portions = Portions.of(config.stream, image_size=config.image_size, tasks=config.tasks)
        self._prepare: Prepare | None = None
        first = None if self._portions is None else self._portions.open(0)
        self.store = DemoStore.of(config, tasks=first, vocabulary=vocabulary)
        _check_chunk(chunk, self.store)
        train, validation = split(self.store, config, seed=seed)
        self.statistics = self.store.statistics(train)
        self.own_statistics = self.store.own_statistics(train)
        if "goal" in kinds and config.goals is None:
            raise ConfigError("data.goals: expected what goals are to a policy that is given them, found null")
        self.train, self.validation = self._windows(self.store, train, validation)
        self._groups = quotas(config, self.train.task.numpy(), self.store)
        self.task_weights = task_weights(self._groups, self.store.spec.task_names)

    def prepare_clips(self, prepare: Prepare) -> None:
        """Replace the frames of all clips by what need be made of them only once, such as by a frozen network."""
        self._prepare = prepare
        for windows in (self.train, self.validation):
            if len(windows):
                windows.prepare_clips(prepare)

    def train_dataloader(self) -> "DataLoader[Batch] | StreamedLoader":
        """An endless loader that begins at the trainer's present step."""
        trainer = self.trainer
        start = trainer.global_step * trainer.accumulate_grad_batches if trainer else 0
        if self._config.stream is not None:
            return StreamedLoader(self._portion, start=start, steps=self._config.stream.steps)
        return self._loader(self.train, self._sampler(self.train, self._groups, start=start))

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Every validation window once; no loader if no episode is held out."""
        if not len(self.validation):
            return []
        trainer = self.trainer
        sampler = SequentialBatchSampler(
            len(self.validation),
            batch_size=self._config.batch_size,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return self._loader(self.validation, sampler)

    def _windows(
        self, store: DemoStore, train: Int[Tensor, " _"], validation: Int[Tensor, " _"]
    ) -> tuple[WindowDataset, WindowDataset]:
        """Windows to train on, and those that are held out."""
        config = self._config
        clips = _clips(config, store, train, validation, self._frames)
        try:
            return (
                WindowDataset(store, train, clips=clips[0], sentences=config.sentences_at_once, **self._telling),
                WindowDataset(store, validation, clips=clips[1], every_kind=True, **self._telling),
            )
        except DatasetError as error:  # of a descriptor, which does not know where it came from
            raise DatasetError(f"{config.where}: {error}") from None

    def _portion(self, number: int, start: int) -> Iterator[Batch]:
        """Batches of a portion of a stream, from a step on."""
        windows, groups = self.train, self._groups
        if number:
            assert self._portions is not None, "streams come in portions"
            store = DemoStore.of(self._config, tasks=self._portions.open(number), vocabulary=self.store.spec)
            told = _as_told(store.spec, self.store.spec, f"{self._config.where}: portion {number}")
            store = replace(store, spec=told)
            windows, _ = self._windows(store, *split(store, self._config, seed=self._seed))
            groups = quotas(self._config, windows.task.numpy(), store)
            if self._prepare is not None:
                windows.prepare_clips(self._prepare)
        assert self._config.stream is not None, "streams come in portions"
        origin = number * self._config.stream.steps
        return map(windows.__getitems__, self._sampler(windows, groups, start=start, origin=origin))

    def _sampler(
        self, windows: WindowDataset, groups: Sequence[Group], *, start: int, origin: int = 0
    ) -> StratifiedBatchSampler:
        strata = Strata.of(groups, windows.task.numpy(), self.store.spec.task_names)
        return StratifiedBatchSampler(
            strata.stratum,
            weights=strata.weights,
            groups=strata.groups,
            shares=[group.share for group in groups],
            batch_size=self._config.batch_size,
            seed=self._seed,
            start=start,
            origin=origin,
            anew=self._shares_vary,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
        )

    @property
    def _shares_vary(self) -> bool:
        """Whether those of the tasks are others in each portion of a stream."""
        sampling = self._config.sampling
        return isinstance(sampling, StratifiedSampling) and sampling.weights is None and sampling.alpha > 0

    def _loader(self, dataset: WindowDataset, sampler: StratifiedBatchSampler | SequentialBatchSampler) -> DataLoader:
        return _BatchLoader(
            dataset,
            batch_sampler=sampler,  # type: ignore[arg-type]  # a Draw in place of a list of indices
            collate_fn=_finished,
            num_workers=self._config.num_workers,
            persistent_workers=self._config.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


def _as_told(found: DatasetSpec, first: DatasetSpec, where: str) -> DatasetSpec:
    """The spec of a stream's first portion, which tells the tasks of all.

    Raises:
        DatasetError: Another portion has features of other sizes.
    """
    if replace(found, tasks=first.tasks) != first:
        sizes = [
            {feature.key: feature.shape for feature in (*spec.observations, spec.action)} for spec in (first, found)
        ]
        raise DatasetError(f"{where}: expected features as in the first portion, {sizes[0]}, found {sizes[1]}")
    return first


class StreamedLoader:
    """Endless batches of a stream, each from the portion that its step falls into.

    Args:
        portion: Batches of a portion, given its number and the step that they begin at.
        start: First step.
        steps: That are drawn from a portion.
    """

    def __init__(self, portion: Callable[[int, int], Iterator[Batch]], *, start: int, steps: int) -> None:
        self._portion, self._start, self._steps = portion, start, steps

    def __iter__(self) -> Iterator[Batch]:
        start = self._start
        while True:
            number = start // self._steps
            end = (number + 1) * self._steps
            batches = itertools.islice(self._portion(number, start), end - start)
            yield from map(Batch.pin_memory, batches) if torch.cuda.is_available() else batches
            start = end


def _finished(batch: Any) -> Any:
    return batch


def _clips(
    config: DataConfig, store: DemoStore, train: Int[Tensor, " _"], validation: Int[Tensor, " _"], frames: int | None
) -> tuple[Clips | None, Clips | None]:
    """What shows the tasks in training and in validation."""
    if frames is None:
        return None, None
    if config.clips is None:
        raise ConfigError("data.clips: expected what shows tasks to a policy that is told them by video, found null")
    assert store.clips is not None
    videos = None
    if config.clips.videos is not None:
        videos = read_videos(config.clips.videos, store.spec.task_names, frames=frames, shape=store.clips.shape)
    return (
        clips_of(store, train, frames=frames, videos=videos, jitter=config.clips.jitter),
        held_out_clips(store, train, validation, frames=frames, videos=videos),
    )


def _check_chunk(chunk: int, store: DemoStore) -> None:
    longest = int(store.length.max())
    if chunk > longest:
        raise ConfigError(f"policy.chunk: expected at most {longest}, the steps of the longest episode, found {chunk}")
