"""Which episodes are trained on, and which are held out for validation.

Legend: E episodes.
"""

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from mtil.data.config import DataConfig
from mtil.data.huggingface.config import StreamConfig
from mtil.data.huggingface.streaming import HELD_OUT
from mtil.data.store import DemoStore
from mtil.errors import DatasetError, unknown


def split(store: DemoStore, config: DataConfig, *, seed: int) -> tuple[Int[Tensor, " _"], Int[Tensor, " _"]]:
    """Training and validation episodes: by the dataset's filter keys where named, otherwise by seed, task by task.

    Raises:
        DatasetError: A filter key does not exist, or leaves a task without training episodes; or a demo is in both.
    """
    if config.stream is not None:
        validation = store.filters.get(HELD_OUT, torch.zeros(len(store.task), dtype=torch.bool))
        _check_trained(store, ~validation, told=_streamed(config.stream))
        return (~validation).nonzero().squeeze(1), validation.nonzero().squeeze(1)
    held_out = _held_out(store.task, config.validation_fraction, seed)
    validation = held_out
    if config.validation_mask is not None:
        validation = _filter(store, "validation_mask", config.validation_mask)
    if config.train_mask is None:
        train = ~validation
    else:
        train = _filter(store, "train_mask", config.train_mask)
        validation = validation if config.validation_mask is not None else ~train
    shared = int((train & validation).sum())
    if shared:
        raise DatasetError(
            f"{shared} demos are in both masks {config.train_mask!r} and {config.validation_mask!r}; expected none"
        )
    told = f"data.train_mask is {config.train_mask!r}, data.validation_mask {config.validation_mask!r}"
    _check_trained(store, train, told=told)
    return train.nonzero().squeeze(1), validation.nonzero().squeeze(1)


def _streamed(config: StreamConfig) -> str:
    return f"data.stream.held_out is {config.held_out} of a task, data.stream.episodes {config.episodes} of all"


def _check_trained(store: DemoStore, train: Bool[Tensor, " E"], *, told: str) -> None:
    for position in store.task.unique().tolist():
        task = store.spec.task_names[position]
        if not train[store.task == position].any():
            raise DatasetError(f"task {task!r}: no demos to train on are left; {told}")


def _held_out(task: Int[Tensor, " E"], fraction: float, seed: int) -> Bool[Tensor, " E"]:
    """The fraction of each task's episodes, rounded, but never all of them."""
    held_out = torch.zeros(len(task), dtype=torch.bool)
    for position in task.unique().tolist():
        episodes = (task == position).nonzero().squeeze(1).numpy()
        count = min(round(fraction * len(episodes)), len(episodes) - 1)
        held_out[np.random.default_rng([seed, position]).permutation(episodes)[:count]] = True
    return held_out


def _filter(store: DemoStore, option: str, key: str) -> Bool[Tensor, " E"]:
    if key not in store.filters:
        raise DatasetError(f"data.{option}: {unknown('filter key', key, store.filters)}")
    return store.filters[key]
