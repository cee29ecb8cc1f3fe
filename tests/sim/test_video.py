import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from mtil.errors import OutputError
from mtil.sim.video import VideoWriter


def frames(count: int, height: int = 32, width: int = 48) -> list[np.ndarray]:
    return [np.full((height, width, 3), 10 * index, np.uint8) for index in range(count)]


def read(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_what_is_saved_is_what_was_filmed(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "film.mp4", fps=40)
    for frame in frames(12):
        writer.append(frame)
    writer.save()
    shown = read(tmp_path / "film.mp4")
    assert [frame.shape for frame in shown] == [(32, 48, 3)] * 12
    np.testing.assert_allclose([frame.mean() for frame in shown], 10 * np.arange(12), atol=4)
    with av.open(str(tmp_path / "film.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == 40
        assert stream.codec_context.pix_fmt == "yuv420p"


def test_odd_sides_lose_their_last_row_and_column(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "film.mp4", fps=40)
    writer.append(frames(1, height=33, width=49)[0])
    writer.save()
    assert read(tmp_path / "film.mp4")[0].shape == (32, 48, 3)


def test_the_file_appears_when_it_is_saved_and_replaces_the_last(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("yesterday's")
    writer = VideoWriter(path, fps=40)
    writer.append(frames(1)[0])
    assert path.read_text() == "yesterday's"
    writer.save()
    assert len(read(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_a_discarded_film_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "film.mp4", fps=40)
    for frame in frames(3):
        writer.append(frame)
    writer.discard()
    assert not list(tmp_path.iterdir())


def test_a_film_without_frames_can_be_discarded(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "film.mp4", fps=40).discard()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"missing/film\.mp4: the video cannot be written: No such file"):
        VideoWriter(tmp_path / "missing" / "film.mp4", fps=40)


FULL_DISK = """
import resource, signal
import subprocess
import sys
from pathlib import Path
import numpy as np
from mtil.errors import OutputError
from mtil.sim.video import VideoWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
writer = VideoWriter(Path("film.mp4"), fps=40)
try:
    for seed in range(50):
        writer.append(np.random.default_rng(seed).integers(256, size=(128, 128, 3), dtype=np.uint8))
    writer.save()
except OutputError as error:
    print(error)
writer.discard()
"""


def test_a_full_disk(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", FULL_DISK], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ended.stdout == "film.mp4: the video cannot be written: File too large\n"
    assert ended.stderr == ""
    assert not list(tmp_path.iterdir())
