"""Videos of tasks, decoded once: a folder a task, of any length, frame rate and size.

Legend: F frames of a clip, T tasks, V videos, h x w pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress
from pathlib import Path

import av
import av.error
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Int, UInt8

from mtil.data.windows import spread
from mtil.errors import DatasetError, unknown

SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")


@dataclass(frozen=True)
class Videos:
    """Frames of videos, and what they show.

    Attributes:
        task: Position of each video's task in the vocabulary.
        names: Of each, its folder and file.
        frames: Its frames in RGB, spread evenly over it.
    """

    task: Int[np.ndarray, " V"]
    names: tuple[str, ...]
    frames: UInt8[np.ndarray, "V F h w 3"]

    def of(self, tasks: Bool[np.ndarray, " T"]) -> "Videos":
        """Those of some tasks."""
        chosen = tasks.take(self.task)
        return Videos(self.task[chosen], tuple(compress(self.names, chosen)), self.frames[chosen])


def read_videos(folder: Path, tasks: Sequence[str], *, frames: int, shape: tuple[int, ...]) -> Videos:
    """All videos in a folder of folders, one for each task that there are videos of.

    Args:
        folder: Which holds them.
        tasks: The vocabulary.
        frames: F.
        shape: (h, w, 3).

    Raises:
        DatasetError: There is no such folder, one in it is no task's or empty, or a video cannot be decoded.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: no such folder; expected one of videos, in one folder a task")
    files: list[tuple[int, Path]] = []
    for each in sorted(path for path in folder.iterdir() if path.is_dir()):
        if each.name not in tasks:
            raise DatasetError(f"{each}: {unknown('task', each.name, tasks)}")
        found = sorted(path for path in each.iterdir() if path.suffix.lower() in SUFFIXES)
        if not found:
            raise DatasetError(f"{each}: expected videos ({', '.join(SUFFIXES)}), found none")
        files += [(list(tasks).index(each.name), path) for path in found]
    if not files:
        raise DatasetError(f"{folder}: expected folders of videos, named for tasks, found none")
    return Videos(
        task=np.array([task for task, _ in files]),
        names=tuple(str(path.relative_to(folder)) for _, path in files),
        frames=np.stack([read_clip(path, frames=frames, shape=shape) for _, path in files]),
    )


def read_clip(path: Path, *, frames: int, shape: tuple[int, ...]) -> UInt8[np.ndarray, "F h w 3"]:
    """Frames of a video, spread evenly over it, its middle scaled to the shape asked for.

    What is too much of its width or height is cut off on both sides, so that nothing is distorted.

    Raises:
        DatasetError: It cannot be decoded, or holds no frames.
    """
    try:
        wanted = spread(sum(1 for _ in _decoded(path)), frames)
        kept = {index: _fitted(frame, shape) for index, frame in enumerate(_decoded(path)) if index in wanted}
    except (av.error.FFmpegError, OSError) as error:
        raise DatasetError(f"{path}: cannot be decoded: {error.strerror or error}") from None
    if not kept:
        raise DatasetError(f"{path}: expected a video, found no frames")
    return np.stack([kept[index] for index in wanted.tolist()])


def _decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        if container.streams.video:
            yield from container.decode(video=0)


def _fitted(frame: av.VideoFrame, shape: tuple[int, ...]) -> UInt8[np.ndarray, "h w 3"]:
    """The largest part in the middle that has the shape's proportions, scaled to it."""
    height, width = shape[:2]
    image = frame.to_ndarray(format="rgb24")
    part = min(image.shape[0] / height, image.shape[1] / width)
    rows, columns = round(part * height), round(part * width)
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    middle = torch.from_numpy(image[top : top + rows, left : left + columns]).permute(2, 0, 1)[None].float()
    scaled = F.interpolate(middle, (height, width), mode="bilinear", antialias=True, align_corners=False)
    return scaled[0].permute(1, 2, 0).round().clamp(0, 255).byte().numpy()
