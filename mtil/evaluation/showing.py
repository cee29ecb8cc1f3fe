"""Clips that show a policy its tasks: demonstrations held out of its training, or videos in a folder.

Legend: F frames of a clip, h x w pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from mtil.data.clips import clips_of
from mtil.data.store import DemoStore
from mtil.data.videos import read_videos
from mtil.errors import CheckpointError, ConfigError
from mtil.evaluation.run_data import RunData, run_data
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
    data = run_data(policy, run)
    found = {**demonstrations(policy, data, tasks, trained=False), **_untrained(policy, data, tasks)}
    if missing := [task for task in tasks if not found[task]]:
        raise ConfigError(
            f"{run}: no demonstrations were held out that could show {', '.join(missing)}; give videos with --videos"
        )
    return found


def demonstrations(
    policy: Policy, data: RunData, tasks: Sequence[str], *, trained: bool, most: int | None = None
) -> Showing:
    """Demonstrations of a run's data, of a task perhaps none.

    Args:
        policy: The run's.
        data: The run's.
        tasks: Which to show.
        trained: Those that it was trained on, or those that were held out.
        most: So many of each task at most, the first ones.
    """
    store, episodes = data.store, data.train if trained else data.validation
    clips = clips_of(store, episodes, frames=policy.clip_shape[0])
    found: dict[str, list[Shown]] = {task: [] for task in tasks}
    for index, episode in enumerate(episodes.tolist()):
        task = store.spec.task_names[int(store.task[episode])]
        if task in found and (most is None or len(found[task]) < most):
            found[task].append(Shown(data.name(episode), clips.frames_of(np.array([index]))[0].numpy()))
    return found


def _untrained(policy: Policy, data: RunData, tasks: Sequence[str]) -> Showing:
    """All demonstrations of those tasks that the policy does not know."""
    unknown = [task for task in tasks if task not in policy.spec.task_names]
    if not unknown:
        return {}
    config = data.config.model_copy(update={"tasks": tuple(unknown), "rehearsal": None})
    store = DemoStore.of(config)
    if store.spec.clip != policy.spec.clip:
        raise CheckpointError(f"{config.where}: other images of {', '.join(unknown)} than the policy is shown")
    everything = torch.arange(len(store.length))
    return demonstrations(policy, RunData(config, store, everything[:0], everything), unknown, trained=False)
