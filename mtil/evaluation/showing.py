"""Clips that show a policy its tasks: demonstrations held out of its training, or videos in a folder.

Legend: F frames of a clip, h x w pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from pydantic import ValidationError

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
    videos = read_videos(folder, policy.spec.task_names, frames=frames, shape=tuple(shape))
    names = [policy.spec.task_names[position] for position in videos.task]
    clips = [Shown(name, clip) for name, clip in zip(videos.names, videos.frames, strict=True)]
    found = {task: [clip for name, clip in zip(names, clips, strict=True) if name == task] for task in tasks}
    if missing := [task for task in tasks if not found[task]]:
        raise ConfigError(f"{folder}: expected videos of every task to evaluate, found none of {', '.join(missing)}")
    return found


def held_out(policy: Policy, run: Path, tasks: Sequence[str]) -> Showing:
    """Demonstrations of a run's data that it was not trained on.

    Raises:
        CheckpointError: The run does not tell where its data are, or they are not those that it was trained on.
        ConfigError: A task has no demonstration that was held out.
        DatasetError: The data cannot be read.
    """
    found = demonstrations(policy, run, tasks, trained=False)
    if missing := [task for task in tasks if not found[task]]:
        raise ConfigError(
            f"{run}: no demonstrations were held out that could show {', '.join(missing)}; give videos with --videos"
        )
    return found


def demonstrations(
    policy: Policy, run: Path, tasks: Sequence[str], *, trained: bool, most: int | None = None
) -> Showing:
    """Demonstrations of a run's data, of a task perhaps none.

    Args:
        policy: The run's.
        run: Its directory.
        tasks: Which to show.
        trained: Those that it was trained on, or those that were held out.
        most: So many of each task at most, the first ones.

    Raises:
        CheckpointError: The run does not tell where its data are, or they are not those that it was trained on.
        DatasetError: The data cannot be read.
    """
    config, seed = _data(run / "config.yaml")
    store = DemoStore.of(config)
    if store.spec.clip != policy.spec.clip or store.spec.task_names != policy.spec.task_names:
        raise CheckpointError(f"{config.path}: no longer holds the tasks and images that {run} was trained on")
    train, validation = split(store, config, seed=seed)
    episodes = train if trained else validation
    clips = clips_of(store, episodes, frames=policy.clip_shape[0])
    found: dict[str, list[Shown]] = {task: [] for task in tasks}
    for index, episode in enumerate(episodes.tolist()):
        task = store.spec.task_names[int(store.task[episode])]
        if task in found and (most is None or len(found[task]) < most):
            place = episode - int((store.task == store.task[episode]).nonzero()[0])
            found[task].append(Shown(f"demonstration {place}", clips.take(np.array([index]))[0].numpy()))
    return found


def _data(path: Path) -> tuple[DataConfig, int]:
    """Where a run's data are, and the seed that split them."""
    found = read_yaml(path)
    try:
        return DataConfig.model_validate(found["data"]), int(found["seed"])
    except (KeyError, TypeError, ValueError, ValidationError, DatasetError) as error:
        problem = " ".join(str(error).split())
        raise CheckpointError(f"{path}: expected the configuration of a run with its data: {problem}") from None
