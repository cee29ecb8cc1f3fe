"""Rollouts on film: mp4 files that appear whole or not at all."""

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import av.error
import numpy as np
from jaxtyping import UInt8

from mtil.errors import OutputError

_CODEC = "libx264" if "libx264" in av.codecs_available else "mpeg4"


class VideoWriter:
    """Writes frames beside their destination and moves them there when they are saved.

    Args:
        path: The mp4 file; one that exists is replaced.
        fps: Frames per second.

    Raises:
        OutputError: The file cannot be written.
    """

    def __init__(self, path: Path, *, fps: int) -> None:
        self._path = path
        self._partial = path.with_name(f".{path.name}.partial")
        self._fps = fps
        self._stream: av.VideoStream | None = None
        try:
            self._file = self._partial.open("wb")
            self._container = av.open(self._file, "w", format="mp4")
        except OSError as error:
            raise self._failure(error) from None

    def append(self, frame: UInt8[np.ndarray, "height width 3"]) -> None:
        """Add one RGB frame, of the same size as those before it. An odd last row or column is left out."""
        height, width = (side - side % 2 for side in frame.shape[:2])  # colours are stored for blocks of 2 x 2
        self._stream = self._stream or self._open_stream(width, height)
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:height, :width]), format="rgb24")
        try:
            self._container.mux(self._stream.encode(picture))
        except OSError as error:
            raise self._failure(error) from None

    def save(self) -> None:
        """Finish the film and move it to its place."""
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
            self._file.close()
            os.replace(self._partial, self._path)
        except OSError as error:
            raise self._failure(error) from None

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):  # what could not be written is about to be removed
            self._container.close()
            self._file.close()
        self._partial.unlink(missing_ok=True)

    def _open_stream(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream(_CODEC, rate=self._fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, self._fps)
        stream.codec_context.thread_count = 1
        return stream

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: the video cannot be written: {error.strerror}")
