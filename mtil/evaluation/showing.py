"""Clips that show a policy its tasks: demonstrations held out of its training, or videos in a folder.

Legend: F frames of a clip, h x w pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from pydantic import ValidationError
from torch import Tensor

from mtil.config import read_yaml
from mtil.data.clips import clips_of
from mtil.data.config import DataConfig
from mtil.data.split import split
from mtil.data.store import DemoStore
from mtil.data.videos import read_videos
from mtil.errors import CheckpointError, ConfigError, DatasetError
from mtil.policies.policy import Policy


@dataclass(frozen=True)
class Shown:
    """A clip, and what to call it."""

    name: str
    frames: UInt8[np.ndarray, "F h w 3"]


Showing = Mapping[str, Sequence[Shown]]
"""By task, the clips that show it."""


def filmed(policy: Policy, folder: Path, tasks: Sequence[str]) -> Showing:
    """Videos in a folder, in one folder a task.

    Raises:
        DatasetError: A folder in it is no task's, or a video cannot be decoded.
        ConfigError: A task has no video.
    """
    frames, *shape = policy.clip_shape
    known = list(dict.fromkeys([*policy.spec.task_names, *tasks]))
    videos = read_videos(folder, known, frames=frames, shape=tuple(shape))
    names = [known[position] for position in videos.task]
    clips = [Shown(name, clip) for name, clip in zip(videos.names, videos.frames, strict=True)]
    found = {task: [clip for name, clip in zip(names, clips, strict=True) if name == task] for task in tasks}
    if missing := [task for task in tasks if not found[task]]:
        raise ConfigError(f"{folder}: expected videos of every task to evaluate, found none of {', '.join(missing)}")
    return found


def held_out(policy: Policy, run: Path, tasks: Sequence[str]) -> Showing:
    """Demonstrations of a run's data that it was not trained on; all of a task that it was not trained on.

    Raises:
        CheckpointError: The run does not tell where its data are, or they are not those that it was trained on.
        ConfigError: A task has no demonstration that was held out.
        DatasetError: The data cannot be read.
    """
    config, seed = _data(run / "config.yaml")
    store = DemoStore.of(config)
    if store.spec.clip != policy.spec.clip or store.spec.task_names != policy.spec.task_names:
        raise CheckpointError(f"{config.path}: no longer holds the tasks and images that {run} was trained on")
    _, validation = split(store, config, seed=seed)
    found: dict[str, list[Shown]] = {task: [] for task in tasks}
    _show(store, validation, found, frames=policy.clip_shape[0])
    if untrained := [task for task in tasks if task not in policy.spec.task_names]:
        others = DemoStore.of(config.model_copy(update={"tasks": tuple(untrained)}))
        if others.spec.clip != policy.spec.clip:
            raise CheckpointError(f"{config.path}: other images of {', '.join(untrained)} than the policy is shown")
        _show(others, torch.arange(len(others.length)), found, frames=policy.clip_shape[0])
    if missing := [task for task in tasks if not found[task]]:
        raise ConfigError(
            f"{run}: no demonstrations were held out that could show {', '.join(missing)}; give videos with --videos"
        )
    return found


def _show(store: DemoStore, episodes: Int[Tensor, " _"], found: dict[str, list[Shown]], *, frames: int) -> None:
    """Add clips of episodes to those of their tasks."""
    clips = clips_of(store, episodes, frames=frames)
    for index, episode in enumerate(episodes.tolist()):
        task = store.spec.task_names[int(store.task[episode])]
        if task in found:
            place = episode - int((store.task == store.task[episode]).nonzero()[0])
            found[task].append(Shown(f"demonstration {place}", clips.take(np.array([index]))[0].numpy()))


def _data(path: Path) -> tuple[DataConfig, int]:
    """Where a run's data are, and the seed that split them."""
    found = read_yaml(path)
    try:
        return DataConfig.model_validate(found["data"]), int(found["seed"])
    except (KeyError, TypeError, ValueError, ValidationError, DatasetError) as error:
        problem = " ".join(str(error).split())
        raise CheckpointError(f"{path}: expected the configuration of a run with its data: {problem}") from None
