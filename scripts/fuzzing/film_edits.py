"""Changes to films, through a muxer: other streams, other times, packets that are gone."""

import io
from typing import Any

import av
import numpy as np

_BOXES = (
    b"moov",
    b"trak",
    b"mdia",
    b"stbl",
    b"stsz",
    b"stco",
    b"stts",
    b"stsc",
    b"stss",
    b"elst",
    b"tkhd",
    b"mdhd",
    b"avc1",
)


def edited(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """A film that is changed, and what was done, in words."""
    ways = (_packets, _other, _box, _box, _box)
    return ways[int(rng.integers(len(ways)))](content, rng)


def _packets(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """The same packets, but for one: without it, with it twice, at another time, or cut."""
    way = str(rng.choice(["gone", "late", "cut", "all late", "empty"]))
    written = io.BytesIO()
    with av.open(io.BytesIO(content), "r") as source, av.open(written, "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        packets: list[Any] = [packet for packet in source.demux(source.streams.video[0]) if packet.size]
        at = int(rng.integers(len(packets)))
        for number, packet in enumerate(packets):
            if number == at and way == "gone":
                continue
            if way == "all late" or (way == "late" and number >= at):
                packet.pts, packet.dts = packet.pts + packet.duration, packet.dts + packet.duration
            if number == at and way in ("cut", "empty"):
                packet = _cut(packet, packet.size // 2 if way == "cut" else 1)
            packet.stream = stream
            target.mux(packet)
    return written.getvalue(), f"packet {at} {way}"


def _cut(packet: Any, size: int) -> Any:
    short = av.Packet(bytes(packet)[:size])
    short.pts, short.dts, short.time_base, short.duration = packet.pts, packet.dts, packet.time_base, packet.duration
    return short


def _other(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Another film in its place."""
    codec, form = [("mpeg4", "mp4"), ("h264", "mp4"), ("png", "mov"), ("mjpeg", "avi"), ("gif", "gif")][
        int(rng.integers(5))
    ]
    frames, fps, size = int(rng.integers(1, 20)), int(rng.choice([1, 10, 25])), int(rng.choice([16, 32]))
    pixels = {"png": "rgb24", "mjpeg": "yuvj420p", "gif": "rgb8"}.get(codec, "yuv420p")
    written = io.BytesIO()
    with av.open(written, "w", format=form) as target:
        stream: Any = target.add_stream(codec, rate=fps)
        stream.height, stream.width, stream.pix_fmt = size, size, pixels
        stream.codec_context.thread_count = 1
        for number in range(frames):
            picture = np.full((size, size, 3), 10 * number, np.uint8)
            target.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=pixels)))
        target.mux(stream.encode(None))
    return written.getvalue(), f"{frames} frames of {codec}, {size} px, {fps} a second"


def _box(content: bytes, rng: np.random.Generator) -> tuple[bytes, str]:
    """Another number in one of the tables in which a film's structure is told."""
    name = _BOXES[int(rng.integers(len(_BOXES)))]
    begin = content.find(name)
    at = begin + 4 * int(rng.integers(-1, 12))
    number = int(rng.choice([0, 1, 2, 7, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1]))
    if begin < 0 or at < 0:
        return content, "nothing"
    return content[:at] + number.to_bytes(4, "big") + content[at + 4 :], f"{number} at {at}, in {name.decode()}"
