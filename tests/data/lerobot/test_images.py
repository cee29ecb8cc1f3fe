"""Pictures and films, decoded once or as they are asked for."""

import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtil.data.conversion import convert
from mtil.data.formats import open_tasks
from mtil.data.frames import Frames
from mtil.data.images import Encoded
from mtil.data.lerobot.images import missing_frame
from mtil.errors import DatasetError, OutputError

EditJson = Callable[[Path, Callable[[Any], Any]], None]

KEY = "top_image"


@pytest.fixture
def datasets(source: Path, pictures: Path, films: Path) -> dict[str, Path]:
    return {"hdf5": source, "pictures": pictures, "films": films}


def whole(folder: Path) -> np.ndarray:
    """All images, demonstration by demonstration, as they are read whole."""
    episodes = [episode for task in open_tasks(folder) for episode in task.episodes([KEY])]
    return np.concatenate([episode.observations[KEY] for episode in episodes])


@pytest.mark.parametrize("decoding", ["once", "on_the_fly"])
@pytest.mark.parametrize("kind", ["pictures", "films"])
@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_are_those_of_the_whole(datasets: dict[str, Path], kind: str, decoding: str, data: st.DataObject) -> None:
    frames = Frames(open_tasks(datasets[kind]), KEY, decoding=decoding)  # pyright: ignore[reportArgumentType]
    expected = whole(datasets[kind])
    rows = np.array(data.draw(st.lists(st.integers(0, len(expected) - 1), max_size=12)), np.int64).reshape(-1, 1)
    np.testing.assert_array_equal(frames.take(rows)[:, 0], expected[rows[:, 0]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames)).take(rows)[:, 0], expected[rows[:, 0]])


def test_pictures_are_those_of_hdf5(datasets: dict[str, Path]) -> None:
    np.testing.assert_array_equal(whole(datasets["pictures"]), whole(datasets["hdf5"]))
    once, mapped = (Frames(open_tasks(datasets[kind]), KEY) for kind in ("pictures", "hdf5"))
    rows = np.arange(25)[:, None]
    assert torch.equal(once.take(rows), mapped.take(rows))
    assert torch.equal(once.scaled((32, 24, 3)).take(rows), mapped.scaled((32, 24, 3)).take(rows))


def test_a_choice_of_tasks_shows_their_own_images(datasets: dict[str, Path]) -> None:
    for folder in datasets.values():
        frames = Frames(open_tasks(folder)[1:], KEY)
        np.testing.assert_array_equal(frames.take(np.arange(10)[:, None])[:, 0], whole(folder)[15:])


def test_they_are_decoded_once_and_never_again(
    datasets: dict[str, Path], own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("pictures", "films"):
        tasks = open_tasks(datasets[kind])
        before = Frames(tasks, KEY).take(np.arange(25)[:, None])
        with monkeypatch.context() as context:
            context.setattr(Encoded, "read", None)
            context.setattr("mtil.data.lerobot.images.decode_picture", None)
            assert torch.equal(Frames(tasks, KEY).take(np.arange(25)[:, None]), before)
    assert sorted(path.stat().st_size for path in own_cache.glob("images/*.rgb")) == [92160, 92160, 138240, 138240]


def test_a_dataset_that_changed_is_decoded_anew(pictures: Path, own_cache: Path) -> None:
    Frames(open_tasks(pictures), KEY)
    path = pictures / "data/chunk-000/file-001.parquet"
    pq.write_table(pq.read_table(path), path)
    Frames(open_tasks(pictures), KEY)
    assert len(list(own_cache.glob("images/*.rgb"))) == 3


def test_a_file_that_changed_since_is_told(pictures: Path) -> None:
    frames = Frames(open_tasks(pictures), KEY, decoding="on_the_fly")
    path = pictures / "data/chunk-000/file-001.parquet"
    pq.write_table(pq.read_table(path), path)
    with pytest.raises(DatasetError, match=r"file-001\.parquet: changed since the dataset was opened"):
        frames.take(np.array([[20]]))


def test_without_room_the_cache_is_named(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MTIL_CACHE", str(tmp_path / "file"))
    with pytest.raises(OutputError, match=r"cannot be written: Not a directory; .* environment variable MTIL_CACHE"):
        Frames(open_tasks(pictures), KEY)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(datasets: dict[str, Path], method: str) -> None:
    rows = np.arange(25)[:, None]
    for kind in ("pictures", "films"):
        frames = Frames(open_tasks(datasets[kind]), KEY, decoding="on_the_fly")
        expected = frames.take(rows)
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
            assert torch.equal(pool.submit(frames.take, rows).result(timeout=120), expected)


def test_many_rows_in_one_group_are_read_in_order(pictures: Path) -> None:
    """As writers other than ours leave them."""
    expected = whole(pictures)
    for path in (pictures / "data/chunk-000").iterdir():
        pq.write_table(pq.read_table(path), path, row_group_size=10_000)
    np.testing.assert_array_equal(whole(pictures), expected)
    for path in (pictures / "data/chunk-000").iterdir():
        pq.write_table(pq.read_table(path), path, row_group_size=2)
    np.testing.assert_array_equal(whole(pictures), expected)


@given(
    start=st.integers(0, 5),
    steps=st.integers(1, 30),
    lost=st.one_of(st.none(), st.integers(0, 29)),
    fps=st.sampled_from([7.0, 10.0, 29.97]),
)
def test_the_first_frame_missing_is_found(start: int, steps: int, lost: int | None, fps: float) -> None:
    times = np.arange(40) / fps
    wanted = lost is not None and lost < steps
    kept = np.delete(times, start + lost) if lost is not None else times
    assert missing_frame(kept, start / fps, steps, fps) == (lost if wanted else None)
    assert missing_frame(times[:0], 0.0, steps, fps) == 0


def test_a_film_that_is_damaged_is_told_or_read(films: Path) -> None:
    path = next(films.glob("videos/*/*/file-000.mp4"))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"file-000\.mp4: "):
        Frames(open_tasks(films), KEY)


@pytest.mark.parametrize("kind", ["pictures", "films"])
def test_a_size_that_is_claimed_takes_no_memory(datasets: dict[str, Path], kind: str, edit_json: EditJson) -> None:
    shape = [2**20, 2**20, 3]
    edit_json(
        datasets[kind] / "meta/info.json", lambda i: i["features"][f"observation.images.{KEY}"].update(shape=shape)
    )
    frames = Frames(open_tasks(datasets[kind]), KEY, decoding="on_the_fly")
    with pytest.raises(DatasetError, match=r"of shape \(1048576, 1048576, 3\), found \(64, 48, 3\)"):
        frames.take(np.arange(6)[None])


def test_lerobot_to_lerobot(pictures: Path, films: Path, tmp_path: Path) -> None:
    convert(pictures, tmp_path / "filmed", layout="lerobot", filmed=True)
    np.testing.assert_array_equal(whole(tmp_path / "filmed"), whole(films))
