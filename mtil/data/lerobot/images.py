"""Images of a LeRobot dataset: PNG pictures in a column of parquet, or frames of an mp4 film.

Legend: N images, h x w pixels.
"""

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import av
import av.error
import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int, UInt8

from mtil.data.cache import cached, digest
from mtil.data.defects import reading
from mtil.data.images import AT_ONCE, Encoded, Stamp
from mtil.data.lerobot.contents import Contents, EpisodePlace
from mtil.data.lerobot.tables import groups_between, open_parquet
from mtil.data.pictures import decoded
from mtil.errors import DatasetError

TOLERANCE = 1e-4
"""Seconds that a frame of a film may lie beside its time, as LeRobot has it."""


@dataclass(frozen=True)
class Pictures(Encoded):
    """PNG (or other) pictures in a column of parquet.

    Attributes:
        column: Which.
        row: The first.
        shape: That they are expected to have, (h, w, 3).
    """

    column: str
    row: int
    shape: tuple[int, ...]

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        with reading(self.file, self.column):
            self.check_unchanged(self.file)
            column = _pictures(self.file, self.stamp, self.column, os.getpid())
            found = column.take(pa.array(self.row + steps)).to_pylist()
            return np.stack([decode_picture(each, self.shape) for each in found])

    def blocks(self) -> Iterator[UInt8[np.ndarray, "N h w 3"]]:
        with reading(self.file, self.column):
            self.check_unchanged(self.file)
            with open_parquet(self.file) as file:
                for group, first, rows in groups_between(file, self.row, self.row + self.steps):
                    stored = _group(self.file, self.stamp, self.column, group)
                    begin, end = max(0, self.row - first), min(rows, self.row + self.steps - first)
                    for start in range(begin, end, AT_ONCE):
                        some = stored.slice(start, min(AT_ONCE, end - start)).to_pylist()
                        yield np.stack([decode_picture(each, self.shape) for each in some])


@dataclass(frozen=True)
class Film(Encoded):
    """Frames of a film.

    Attributes:
        start: Seconds into the film at which the episode begins.
        fps: Steps a second.
        shape: That they are expected to have, (h, w, 3).
    """

    start: float
    fps: float
    shape: tuple[int, ...]

    def read(self, steps: Int[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        with reading(self.file):
            self.check_unchanged(self.file)
            try:
                return self._decoded(self.start + steps / self.fps)
            except av.error.FFmpegError as error:
                raise DatasetError(f"{self.file}: cannot be decoded: {error.strerror or error}") from None

    def _decoded(self, times: Float[np.ndarray, " N"]) -> UInt8[np.ndarray, "N h w 3"]:
        container = _opened(self.file, self.stamp, os.getpid())
        order = np.argsort(times, kind="stable")
        found: dict[int, np.ndarray] = {}
        frames = _Forward(container, self.file)
        for place in order.tolist():
            frame = frames.at(float(times[place]))
            if frame.is_corrupt:
                raise DatasetError(f"{self.file}: the frame at {times[place]:.4f} s is damaged")
            image = frame.to_ndarray(format="rgb24")
            if image.shape != self.shape:
                raise DatasetError(f"{self.file}: expected frames of shape {self.shape}, found {image.shape}")
            found[place] = image
        return np.stack([found[place] for place in range(len(times))])


def decode_picture(stored: Any, shape: tuple[int, ...]) -> UInt8[np.ndarray, "h w 3"]:
    """A picture as LeRobot stores it: a dictionary of its bytes and its path.

    Raises:
        DatasetError: It holds no bytes, is no picture, or has another size.
    """
    content = stored.get("bytes") if isinstance(stored, dict) else None
    if not isinstance(content, bytes) or not content:
        raise DatasetError(f"expected the bytes of a picture, found {str(stored)[:40]}")
    return decoded(content, shape)


class _Forward:
    """Frames of a film at times that increase; where the next is far ahead, those between are passed over."""

    def __init__(self, container: Any, file: Path) -> None:
        if not container.streams.video:
            raise DatasetError(f"{file}: expected a film, found no video in it")
        self._container, self._file = container, file
        self._stream = container.streams.video[0]
        self._frames: Iterator[av.VideoFrame] = iter(())
        self._frame: av.VideoFrame | None = None

    def at(self, time: float) -> av.VideoFrame:
        frame = self._frame
        if frame is None or not 0 <= time - self._time(frame) < 1:
            self._container.seek(int(max(0, time - TOLERANCE) / self._stream.time_base), stream=self._stream)
            self._frames = self._container.decode(self._stream)
            frame = next(self._frames, None)
        while frame is not None and self._time(frame) < time - TOLERANCE:
            frame = next(self._frames, None)
        self._frame = frame
        if frame is None or abs(self._time(frame) - time) > TOLERANCE:
            found = "the film has ended" if frame is None else f"the next is at {self._time(frame):.4f}"
            raise DatasetError(f"{self._file}: expected a frame at {time:.4f} s, found none: {found}")
        return frame

    def _time(self, frame: av.VideoFrame) -> float:
        if frame.time is None:
            raise DatasetError(f"{self._file}: a frame does not tell its time")
        return frame.time


def images_at(contents: Contents, episode: EpisodePlace, key: str) -> Pictures | Film:
    """Where the images of an episode lie.

    Raises:
        OSError: Their file is missing.
    """
    shape, film = contents.columns.specs[key].shape, episode.films.get(key)
    file = contents.folder / (episode.file if film is None else film.file)
    stamp = Stamp.of(file)
    if film is not None:
        return Film(file, stamp, episode.length, film.start, contents.info.fps, shape)
    return Pictures(file, stamp, episode.length, contents.columns.pictures[key], episode.row, shape)


def film_times(path: Path) -> Float[np.ndarray, " N"]:
    """When each frame of a film is shown, in seconds, none of them decoded.

    Raises:
        DatasetError: It is no film.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DatasetError("expected a film, found no video in it")
            packets = container.demux(container.streams.video[0])
            return np.sort([float(p.pts * p.time_base) for p in packets if p.pts is not None and p.time_base])
    except av.error.FFmpegError as error:
        raise DatasetError(f"no film that can be read: {error.strerror or error}") from None


def missing_frame(times: Float[np.ndarray, " N"], start: float, steps: int, fps: float) -> int | None:
    """The first step of an episode that a film has no frame for, if there is one."""
    wanted = start + np.arange(steps) / fps
    after = np.searchsorted(times, wanted - TOLERANCE)
    near = np.abs(np.take(times, after, mode="clip") - wanted) <= TOLERANCE if len(times) else np.zeros(steps, bool)
    missing = np.flatnonzero(~near)
    return int(missing[0]) if len(missing) else None


@functools.lru_cache(maxsize=64)
def _opened(path: Path, stamp: Stamp, process: int) -> Any:
    """A film kept open, in each process for itself."""
    container = av.open(str(path))
    for stream in container.streams.video[:1]:
        stream.thread_type = "NONE"
    return container


@functools.lru_cache(maxsize=64)
def _pictures(path: Path, stamp: Stamp, column: str, process: int) -> pa.ChunkedArray:
    """A column of pictures, encoded as they are, mapped from a file of the cache in which any can be reached."""
    name = f"pictures/{digest(path, stamp, column)}.arrow"
    mapped = pa.memory_map(str(cached(name, lambda file: _uncompress(path, column, file))))
    return pa.ipc.open_file(mapped).read_all()[column]


@functools.lru_cache(maxsize=1)
def _group(path: Path, stamp: Stamp, column: str, group: int) -> pa.ChunkedArray:
    """A column of pictures in one of the groups that a file's rows are in, which may be many demonstrations'."""
    with open_parquet(path) as file:
        return file.read_row_group(group, columns=[column], use_threads=False)[column]


def _uncompress(path: Path, column: str, file: BinaryIO) -> None:
    with open_parquet(path) as source, pa.ipc.new_file(file, pa.schema([source.schema_arrow.field(column)])) as writer:
        for group in range(source.num_row_groups):
            writer.write_table(source.read_row_group(group, columns=[column], use_threads=False))
