from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from mtil.data.videos import read_clip, read_videos
from mtil.errors import DatasetError

Film = Callable[..., Path]
SHAPE = (24, 32, 3)


@pytest.mark.parametrize(("frames", "fps", "size"), [(9, 10, (48, 64)), (17, 25, (120, 160)), (5, 3, (24, 32))])
def test_any_length_rate_and_size(film: Film, tmp_path: Path, frames: int, fps: int, size: tuple[int, int]) -> None:
    path = film(tmp_path / "film.mp4", frames=frames, fps=fps, size=size)
    clip = read_clip(path, frames=3, shape=SHAPE)
    assert clip.shape == (3, *SHAPE)
    expected = [0, 8 * ((frames - 1) // 2), 8 * (frames - 1)]
    np.testing.assert_allclose(clip.mean((1, 2, 3)), expected, atol=4)


def test_a_film_shorter_than_the_clip(film: Film, tmp_path: Path) -> None:
    clip = read_clip(film(tmp_path / "film.mp4", frames=2), frames=4, shape=SHAPE)
    np.testing.assert_allclose(clip.mean((1, 2, 3)), [0, 0, 8, 8], atol=4)


def test_the_middle_is_kept_undistorted(tmp_path: Path) -> None:
    """A square in a wide picture, whose sides are of another colour."""
    path = tmp_path / "wide.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=5)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 64, 128, "yuv420p", 4_000_000
        picture = np.zeros((64, 128, 3), np.uint8)
        picture[:, 32:96] = 200
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    clip = read_clip(path, frames=1, shape=(16, 16, 3))
    assert clip[0, :, 2:-2].min() > 180


def test_a_folder_a_task(film: Film, tmp_path: Path) -> None:
    film(tmp_path / "push" / "b.mp4", frames=3, first=100)
    film(tmp_path / "push" / "a.MP4", frames=3, first=50)
    film(tmp_path / "lift" / "c.mp4", frames=3)
    (tmp_path / "push" / "notes.txt").write_text("not a video")
    videos = read_videos(tmp_path, ["reach", "push", "lift"], frames=2, shape=SHAPE)
    assert videos.names == ("lift/c.mp4", "push/a.MP4", "push/b.mp4")
    assert videos.task.tolist() == [2, 1, 1]
    np.testing.assert_allclose(videos.frames[:, 0].mean((1, 2, 3)), [0, 50, 100], atol=4)


def test_a_broken_video_is_named(film: Film, tmp_path: Path) -> None:
    film(tmp_path / "push" / "a.mp4", frames=3)
    broken = tmp_path / "push" / "b.mp4"
    broken.write_bytes((tmp_path / "push" / "a.mp4").read_bytes()[:200])
    with pytest.raises(DatasetError, match=f"{broken}: cannot be decoded"):
        read_videos(tmp_path, ["push"], frames=2, shape=SHAPE)


def test_a_file_without_frames_is_named(tmp_path: Path) -> None:
    path = tmp_path / "sound.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(DatasetError, match=f"{path}: expected a video, found no frames"):
        read_clip(path, frames=2, shape=SHAPE)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "expected folders of videos, named for tasks, found none"),
        (["pusch/a.mp4"], r"pusch: unknown task 'pusch'; did you mean 'push'\?"),
        (["push/a.txt"], r"push: expected videos \(.mp4, .mov, .*\), found none"),
    ],
)
def test_folders_that_do_not_work(tmp_path: Path, files: list[str], message: str) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    with pytest.raises(DatasetError, match=message):
        read_videos(tmp_path, ["push", "lift"], frames=2, shape=SHAPE)
    with pytest.raises(DatasetError, match="nowhere: no such folder"):
        read_videos(tmp_path / "nowhere", ["push"], frames=2, shape=SHAPE)
