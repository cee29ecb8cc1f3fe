"""Episodes filmed into one mp4, one after the other.

Legend: T steps, h x w pixels.
"""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from mtil.errors import DatasetError

CODEC = "h264"
PIXELS = "yuv420p"
_OPTIONS = {"g": "2", "crf": "18", "bf": "0"}  # every second frame can be reached alone


class FilmWriter:
    """A film that grows by episodes.

    Args:
        path: Where to; an mp4, whatever its name.
        fps: Frames a second.

    Attributes:
        frames: Its length so far.
        size: Bytes so far.
    """

    def __init__(self, path: Path, *, fps: float) -> None:
        self.frames, self.size = 0, 0
        self._container = av.open(str(path), "w", format="mp4")
        self._rate = Fraction(fps).limit_denominator(10_000)
        self._stream: Any = None

    def write(self, images: UInt8[np.ndarray, "T h w 3"]) -> None:
        """Go on with the images of an episode.

        Raises:
            OSError: The disk is full.
        """
        if self._stream is None:
            self._stream = self._container.add_stream(CODEC, rate=self._rate, options=_OPTIONS)
            self._stream.height, self._stream.width, self._stream.pix_fmt = *images.shape[1:3], PIXELS
            self._stream.codec_context.thread_count = 1  # the same input gives the same bytes
        for image in images:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = self.frames, 1 / self._rate
            self._mux(frame)
            self.frames += 1

    def __enter__(self) -> "FilmWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._stream is not None:
            self._mux(None)
        self._container.close()

    def _mux(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self.size += packet.size
            self._container.mux(packet)


def check_size(key: str, shape: tuple[int, ...]) -> None:
    """A film halves the resolution of colours.

    Raises:
        DatasetError: A side is odd.
    """
    if shape[0] % 2 or shape[1] % 2:
        raise DatasetError(
            f"{key}: expected images of even height and width for films, found {shape}; leave out --film"
        )


def described(shape: tuple[int, ...], fps: float) -> dict[str, Any]:
    """What `info.json` tells of a film."""
    return {
        "video.height": shape[0],
        "video.width": shape[1],
        "video.codec": CODEC,
        "video.pix_fmt": PIXELS,
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
    }
