"""Demonstrations as batches, for Lightning.

Legend: B batch, W windows, T tasks.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from mtil.data.batch import Batch
from mtil.data.clips import Clips, Prepare, clips_of, held_out_clips
from mtil.data.config import DataConfig, GoalsConfig
from mtil.data.goals import goals_of
from mtil.data.kinds import DescriptorKind
from mtil.data.quotas import Strata, quotas, task_weights
from mtil.data.sampling import Draw, SequentialBatchSampler, StratifiedBatchSampler
from mtil.data.split import split
from mtil.data.store import DemoStore
from mtil.data.telling import Telling
from mtil.data.videos import read_videos
from mtil.data.windows import Windows
from mtil.errors import ConfigError, DatasetError
from mtil.types import DatasetSpec


class WindowDataset(Dataset[Batch]):
    """Windows of some episodes of a store; a whole batch is gathered in one read.

    Args:
        store: The demonstrations.
        episodes: Those to take windows from.
        history: Observations in a window.
        chunk: Actions in a window.
        kinds: Kinds of descriptor, one of each for every example, and how often it is conditioned on that one.
        clips: What shows the tasks, where that is one of the kinds; an episode's position in it is that in `episodes`.
        goals: What goals are, where they are one of the kinds.
        sentences: See `Telling`.
        every_kind: See `Telling`; where it is so, goals are those of an evaluation.
        seed: With the step, decides which descriptor and which kind.

    Raises:
        DatasetError: A task cannot be told in any of these kinds.
    """

    def __init__(
        self,
        store: DemoStore,
        episodes: Int[Tensor, " _"],
        *,
        history: int,
        chunk: int,
        kinds: Mapping[DescriptorKind, float],
        clips: Clips | None = None,
        goals: GoalsConfig | None = None,
        sentences: int | None = None,
        every_kind: bool = False,
        seed: int,
    ) -> None:
        start, length = store.start[episodes].numpy(), store.length[episodes].numpy()
        self._windows = Windows(start, length, history=history, chunk=chunk)
        self._task = store.task[episodes].numpy()[self._windows.episode]
        spec = store.spec
        states = [feature for feature in spec.observations if feature.kind == "state"]
        self._states = {state.key: store.features[state.key].numpy() for state in states}
        self._targets = {target.key: store.features[target.key].numpy() for target in spec.targets}
        self._target_mask = {target.key: spec.valid(target) for target in spec.targets}
        self._images = store.images
        self._observation_mask = {state.key: spec.valid(state) for state in states}
        self._actions = store.features[spec.action.key].numpy()
        self._action_mask = np.pad(spec.valid(spec.action), ((0, 1), (0, 0)))  # the last row is that of padding
        aims = None
        if goals is not None and "goal" in kinds:
            aims = goals_of(store, self._windows, self._task, goals, as_evaluated=every_kind)
        present = np.bincount(self._task, minlength=len(spec.tasks)) > 0
        self._telling = Telling(
            kinds,
            spec,
            clips=clips,
            goals=aims,
            every=every_kind,
            sentences=sentences,
            present=present if len(episodes) else None,
            seed=seed,
        )

    @property
    def task(self) -> Int[Tensor, " W"]:
        """Position of each window's task in the vocabulary."""
        return torch.from_numpy(self._task)

    @property
    def lacking(self) -> dict[DescriptorKind, list[int]]:
        """By kind of descriptor, positions of the tasks that have none and are told in the other kinds."""
        return self._telling.lacking

    def prepare_clips(self, prepare: Prepare) -> None:
        """Replace the frames of clips, if there are any, by what need be made of them only once."""
        self._telling.prepare_clips(prepare)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitems__(self, draw: Draw) -> Batch:
        """The finished batch of a draw. (PyTorch's fetcher calls this once a batch.)"""
        windows = draw.windows.numpy()
        rows, task = self._windows.rows(windows), self._task.take(windows)
        owner = np.where(rows.chunk_mask, task[:, None], -1)  # of each action
        told = self._telling(task, self._windows.episode.take(windows), draw)
        return Batch(
            observations={key: _take(values, rows.history) for key, values in self._states.items()}
            | {key: images.take(rows.history) for key, images in self._images.items()},
            observation_mask={key: _take(valid, task) for key, valid in self._observation_mask.items()},
            history_mask=torch.from_numpy(rows.history_mask),
            actions=_take(self._actions, rows.chunk),
            action_mask=_take(self._action_mask, owner),
            task=torch.from_numpy(task),
            weight=draw.weight,
            descriptors=told.descriptors,
            condition=told.condition,
            targets={key: _take(values, rows.history[:, -1]) for key, values in self._targets.items()},
            target_mask={key: _take(valid, task) for key, valid in self._target_mask.items()},
            clips=told.clips,
            goals=told.goals,
        )


def _take(values: Shaped[np.ndarray, "N ..."], rows: Int[np.ndarray, "..."]) -> Tensor:
    """The given rows, copied. (NumPy's `take` is several times faster than indexing is.)"""
    return torch.from_numpy(values.take(rows, axis=0))


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
        self._config, self._seed = config, seed
        self.store = DemoStore.of(config, vocabulary=vocabulary)
        _check_chunk(chunk, self.store)
        train, validation = split(self.store, config, seed=seed)
        self.statistics = self.store.statistics(train)
        self.own_statistics = self.store.own_statistics(train)
        clips = _clips(config, self.store, train, validation, frames)
        if "goal" in kinds and config.goals is None:
            raise ConfigError("data.goals: expected what goals are to a policy that is given them, found null")
        try:
            self.train, self.validation = (
                WindowDataset(
                    self.store,
                    episodes,
                    history=history,
                    chunk=chunk,
                    kinds=kinds,
                    clips=shown,
                    goals=config.goals,
                    sentences=config.sentences_at_once if episodes is train else None,
                    every_kind=episodes is validation,
                    seed=seed,
                )
                for episodes, shown in zip((train, validation), clips, strict=True)
            )
        except DatasetError as error:  # of a descriptor, which does not know where it came from
            raise DatasetError(f"{config.where}: {error}") from None
        self._groups = quotas(config, self.train.task.numpy(), self.store)
        self.task_weights = task_weights(self._groups, self.store.spec.task_names)

    def prepare_clips(self, prepare: Prepare) -> None:
        """Replace the frames of all clips by what need be made of them only once, such as by a frozen network."""
        for windows in (self.train, self.validation):
            if len(windows):
                windows.prepare_clips(prepare)

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader that begins at the trainer's present step."""
        trainer = self.trainer
        start = trainer.global_step * trainer.accumulate_grad_batches if trainer else 0
        strata = Strata.of(self._groups, self.train.task.numpy(), self.store.spec.task_names)
        sampler = StratifiedBatchSampler(
            strata.stratum,
            weights=strata.weights,
            groups=strata.groups,
            shares=[group.share for group in self._groups],
            batch_size=self._config.batch_size,
            seed=self._seed,
            start=start,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
        )
        return self._loader(self.train, sampler)

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

    def _loader(self, dataset: WindowDataset, sampler: StratifiedBatchSampler | SequentialBatchSampler) -> DataLoader:
        return _BatchLoader(
            dataset,
            batch_sampler=sampler,  # type: ignore[arg-type]  # a Draw in place of a list of indices
            collate_fn=_finished,
            num_workers=self._config.num_workers,
            persistent_workers=self._config.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )


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
