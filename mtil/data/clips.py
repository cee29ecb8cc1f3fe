"""Clips that show a task, and which of them an example is shown.

Legend: B batch, C clips, E episodes, F frames of a clip, N clips taken, T tasks, U clips of a batch, h x w pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor

from mtil.data.frames import Frames
from mtil.data.store import DemoStore
from mtil.data.videos import Videos
from mtil.data.windows import spread

Prepare = Callable[[Sequence[UInt8[np.ndarray, "F h w 3"]]], Shaped[Tensor, "N ..."]]
"""What need be made of clips only once."""

_VIDEO = -1  # in place of an episode
_TOGETHER = 8  # clips that are prepared at once


@dataclass(frozen=True)
class Clips:
    """Clips of all tasks: some are episodes of demonstrations, as a camera saw them, others were decoded from videos.

    Attributes:
        task: Position of each clip's task, of an episode first and then of a video.
        frames: F.
        images: What the camera saw.
        start: First row of each episode.
        length: Steps of each episode.
        videos: Frames of the videos.
        jitter: How far frames of an episode stray from their even places, at most, in distances between frames.
        prepared: By clip, what is handed out in place of its frames, where it was computed once for all.
    """

    task: Int[np.ndarray, " C"]
    frames: int
    images: Frames
    start: Int[np.ndarray, " E"]
    length: Int[np.ndarray, " E"]
    videos: UInt8[np.ndarray, "_ F h w 3"] | None = None
    jitter: float = 0.0
    prepared: Shaped[Tensor, "C ..."] | None = None

    def __len__(self) -> int:
        return len(self.task)

    def take(self, clips: Int[np.ndarray, " N"], shares: Float[np.ndarray, "N F"]) -> Shaped[Tensor, "N ..."]:
        """Frames of the given clips as uint8 (N, F, h, w, 3), or what was prepared of them; copied.

        Args:
            clips: Which.
            shares: A number for each frame, uniform over [0, 1), that decides how far it strays.
        """
        if self.prepared is None:
            return self.frames_of(clips, stray=self.jitter * (2 * shares - 1))
        return self.prepared[torch.from_numpy(clips)]

    def frames_of(
        self, clips: Int[np.ndarray, " N"], *, stray: Float[np.ndarray, "N F"] | None = None
    ) -> UInt8[Tensor, "N F h w 3"]:
        """The frames of the given clips, copied; those of episodes so many distances from their even places."""
        shown = np.empty((len(clips), self.frames, *self.images.shape), np.uint8)
        episodes = clips < len(self.start)
        if episodes.any():
            chosen = clips[episodes]
            strays = np.zeros((len(chosen), self.frames)) if stray is None else stray[episodes]
            each = zip(self.start[chosen].tolist(), self.length[chosen].tolist(), strays, strict=True)
            rows = np.stack([start + spread(length, self.frames, stray=stray) for start, length, stray in each])
            shown[episodes] = self.images.take(rows).numpy()
        if not episodes.all():
            assert self.videos is not None, "a clip is an episode or a video"
            shown[~episodes] = self.videos[clips[~episodes] - len(self.start)]
        return torch.from_numpy(shown)

    def prepared_by(self, prepare: Prepare) -> "Clips":
        """The same clips, their frames replaced by what is made of them, here and now, for a few at a time."""
        few = np.array_split(np.arange(len(self)), max(1, len(self) // _TOGETHER))
        made = [prepare(list(self.frames_of(clips).numpy())).cpu() for clips in few]
        return replace(self, prepared=torch.cat(made))

    def episode(self, clips: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """Position of the episode that each clip is, or -1."""
        return np.where(clips < len(self.start), clips, _VIDEO)


def clips_of(
    store: DemoStore, episodes: Int[Tensor, " _"], *, frames: int, videos: Videos | None = None, jitter: float = 0.0
) -> Clips:
    """Episodes of a store as clips, in their order, and videos after them.

    Args:
        store: Opened with the images that clips are made of.
        episodes: Which.
        frames: F.
        videos: Decoded.
        jitter: See `Clips`.
    """
    assert store.clips is not None, "a store whose episodes are shown has images to show"
    task = store.task[episodes].numpy()
    return Clips(
        task=task if videos is None else np.concatenate([task, videos.task]),
        frames=frames,
        images=store.clips,
        start=store.start[episodes].numpy(),
        length=store.length[episodes].numpy(),
        videos=None if videos is None else videos.frames,
        jitter=jitter,
    )


def held_out_clips(
    store: DemoStore,
    train: Int[Tensor, " _"],
    validation: Int[Tensor, " _"],
    *,
    frames: int,
    videos: Videos | None = None,
) -> Clips:
    """Validation episodes as clips, in their order; and, of each task that has fewer than two of these, the training
    episodes and videos, too.

    Two are needed: one to show, while the other is imitated.
    """
    scarce = store.task[validation].bincount(minlength=len(store.spec.tasks)) < 2
    shown = None if videos is None else videos.of(scarce.numpy())
    return clips_of(store, torch.cat([validation, train[scarce[store.task[train]]]]), frames=frames, videos=shown)


class ClipDraws:
    """Which clip each example of a batch is shown: one for each task, and another where that is its own episode.

    Few clips are then encoded in a step, however large the batch. A task whose only clip is an episode has none: nobody
    is shown what he is to imitate.

    Args:
        clips: All of them.
        tasks: T.

    Attributes:
        count: Clips of each task, 0 where it cannot be shown.
    """

    def __init__(self, clips: Clips, tasks: int) -> None:
        self._clips = clips
        order = np.argsort(clips.task, kind="stable")
        found = np.bincount(clips.task, minlength=tasks)
        self._order, self._first = order, found.cumsum() - found
        videos = np.bincount(clips.task[len(clips.start) :], minlength=tasks)
        self.count: Int[np.ndarray, " T"] = np.where((found == 1) & (videos == 0), 0, found)

    def draw(
        self, task: Int[np.ndarray, " B"], episode: Int[np.ndarray, " B"], shares: Float[np.ndarray, "T 2"]
    ) -> Int[np.ndarray, " B"]:
        """The clip of each example; -1 where its task has none.

        Args:
            task: Of each example.
            episode: That it is of.
            shares: Two numbers for each task, uniform over [0, 1).
        """
        count = np.maximum(self.count, 1)
        nth = (shares[:, 0] * count).astype(np.int64)
        other = (nth + 1 + (shares[:, 1] * (count - 1)).astype(np.int64)) % count
        one, another = (self._order.take(self._first + chosen, mode="clip") for chosen in (nth, other))
        own = self._clips.episode(one.take(task)) == episode
        return np.where(self.count.take(task) > 0, np.where(own, another.take(task), one.take(task)), -1)
