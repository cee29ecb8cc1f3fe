import multiprocessing
import os
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchvision.transforms.v2 import functional

from mtil.data.formats import open_tasks
from mtil.data.frames import Frames
from mtil.errors import DatasetError

KEY = "camera"
PIECES: dict[str, dict[str, Any]] = {
    "contiguous": {},
    "gzip": {"compression": "gzip"},
    "lzf": {"compression": "lzf", "shuffle": True},
    "chunked": {"chunks": (2, 3, 8, 1)},
    "growing": {"maxshape": (None, 6, 8, 3)},
}


def opened(path: Path) -> Frames:
    return Frames(open_tasks(path), KEY)


def by_h5py(path: Path) -> np.ndarray:
    """All images, demonstration by demonstration, as h5py reads them."""
    images = []
    for file in open_tasks(path):
        with h5py.File(file.path) as content:
            images += [np.asarray(content[f"data/{demo}/obs/{KEY}"]) for demo in file.demos]
    return np.concatenate(images)


def store_as(path: Path, demo: str, **options: Any) -> None:
    """Stores a demonstration's images in another way."""
    with h5py.File(path, "r+") as file:
        images = np.asarray(file[f"data/{demo}/obs/{KEY}"])
        del file[f"data/{demo}/obs/{KEY}"]
        file.create_dataset(f"data/{demo}/obs/{KEY}", data=images, **options)


def link_elsewhere(path: Path) -> None:
    """Puts a demonstration's images into another file, behind a link, after bytes that HDF5 does not look at."""
    elsewhere = path.parent / "elsewhere.bin"
    with h5py.File(path, "r+") as file, h5py.File(elsewhere, "w", userblock_size=512) as other:
        other["images"] = np.asarray(file[f"data/demo_1/obs/{KEY}"])
        del file[f"data/demo_1/obs/{KEY}"]
        file[f"data/demo_1/obs/{KEY}"] = h5py.ExternalLink(elsewhere.name, "images")


def keep_outside(path: Path) -> None:
    """Stores a demonstration's images as bytes in a file that is none of HDF5's."""
    with h5py.File(path, "r+") as file:
        images = np.asarray(file[f"data/demo_0/obs/{KEY}"])
        raw = path.with_suffix(".raw")
        images.tofile(raw)
        del file[f"data/demo_0/obs/{KEY}"]
        places = [(str(raw), 0, images.nbytes)]
        file.create_dataset(f"data/demo_0/obs/{KEY}", images.shape, images.dtype, external=places)


@pytest.fixture
def folder(write: Callable[[str], Path]) -> Path:
    """Three tasks, no two images equal, stored in several ways, and with a gap in the numbers."""
    rng = np.random.default_rng(0)
    lift, push, turn = (write(name) for name in ("lift", "push", "turn"))
    for path in (lift, push, turn):
        with h5py.File(path, "r+") as file:
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                demo[f"obs/{KEY}"][...] = rng.integers(0, 256, demo[f"obs/{KEY}"].shape)
    with h5py.File(turn, "r+") as file:
        file.move("data/demo_1", "data/demo_10")
        del file["mask"]
    store_as(push, "demo_0", compression="gzip")
    store_as(push, "demo_1", chunks=True)
    link_elsewhere(lift)
    keep_outside(lift)
    return lift.parent


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_rows_are_what_h5py_reads(folder: Path, data: st.DataObject) -> None:
    expected, frames = by_h5py(folder), opened(folder)
    assert len(frames) == len(expected)
    history = data.draw(st.integers(1, 3))
    row = st.lists(st.integers(0, len(expected) - 1), min_size=history, max_size=history)
    rows = np.array(data.draw(st.lists(row, max_size=20)), np.int64).reshape(-1, history)
    found = frames.take(rows)
    assert found.shape == (*rows.shape, 6, 8, 3)
    np.testing.assert_array_equal(found, expected[rows])


@pytest.mark.parametrize("kind", PIECES)
def test_however_they_are_stored(write: Callable[[str], Path], kind: str) -> None:
    path = write("lift")
    expected = by_h5py(path)
    for demo in ("demo_0", "demo_1", "demo_2"):
        store_as(path, demo, **PIECES[kind])
    np.testing.assert_array_equal(opened(path).take(np.arange(15)[:, None])[:, 0], expected)


def test_scaled_images_are_averages(folder: Path) -> None:
    expected, frames = by_h5py(folder), opened(folder)
    small, rows = frames.scaled((3, 4, 3)), np.array([[0, 7], [14, 0]])
    found = small.take(rows)
    assert found.dtype == torch.uint8
    assert found.shape == (2, 2, *small.shape)
    image = torch.from_numpy(expected[7]).permute(2, 0, 1).float()
    averaged = functional.resize(image, [3, 4], antialias=True).permute(1, 2, 0)
    assert (found[0, 1].float() - averaged).abs().max() <= 2
    assert torch.equal(small.scaled(frames.shape).take(rows), frames.take(rows))
    assert torch.equal(pickle.loads(pickle.dumps(small)).take(rows), found)


def test_scaled_images_are_decoded_once(write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("lift")
    store_as(path, "demo_0", **PIECES["gzip"])
    frames = opened(path)
    monkeypatch.setattr(h5py, "File", None)
    assert frames.scaled((3, 4, 3)).take(np.zeros((1, 1), np.int64)).shape == (1, 1, 3, 4, 3)


def test_what_is_taken_is_the_takers(sound: Path) -> None:
    frames, rows = opened(sound), np.zeros((1, 1), np.int64)
    frames.take(rows).zero_()
    np.testing.assert_array_equal(frames.take(rows)[0, 0], by_h5py(sound)[0])


def test_a_file_cut_short_is_told_before_the_read_that_would_kill(folder: Path) -> None:
    frames, cut = opened(folder), folder / "turn.hdf5"
    count, size = len(by_h5py(folder)), cut.stat().st_size
    os.truncate(cut, size // 2)
    with pytest.raises(DatasetError, match=rf"turn\.hdf5: cut short .*expected {size} bytes .* found {size // 2}"):
        frames.take(np.array([[0], [count - 1]]))
    assert len(frames.take(np.array([[0], [1]]))) == 2  # of other files


def test_a_file_replaced_or_removed_since_stays_readable(folder: Path, write: Callable[[str], Path]) -> None:
    expected, frames = by_h5py(folder), opened(folder)
    write("lift")
    (folder / "turn.hdf5").unlink()
    np.testing.assert_array_equal(frames.take(np.arange(len(expected))[:, None])[:, 0], expected)


def test_a_file_that_changed_before_it_is_opened_again_is_told(folder: Path, write: Callable[[str], Path]) -> None:
    pickled = pickle.dumps(opened(folder))
    write("turn")
    with pytest.raises(DatasetError, match=r"turn\.hdf5: changed since the dataset was opened"):
        pickle.loads(pickled).take(np.zeros((1, 1), np.int64))
    (folder / "turn.hdf5").unlink()
    with pytest.raises(DatasetError, match=r"turn\.hdf5: cannot be read: No such file"):
        pickle.loads(pickled).take(np.zeros((1, 1), np.int64))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_another_process_reads_the_same(folder: Path, method: str) -> None:
    expected, frames = by_h5py(folder), opened(folder)
    rows = np.arange(len(expected))[:, None]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        np.testing.assert_array_equal(pool.submit(frames.take, rows).result(timeout=120)[:, 0], expected)


def anonymous_memory() -> int:
    """Bytes that this process holds, what it has mapped excepted."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def big_file(path: Path, demos: int, write: Callable[[str], Path]) -> Path:
    """A file of 12 MB a demonstration; what is not written is read as zeros."""
    file = write(path.name)
    with h5py.File(file, "r+") as content:
        del content["data"]["demo_0"], content["data"]["demo_1"], content["data"]["demo_2"], content["mask"]  # pyright: ignore
        for i in range(demos):
            demo = content["data"].create_group(f"demo_{i}")  # pyright: ignore[reportAttributeAccessIssue]
            demo.attrs["num_samples"] = 64
            demo["actions"] = np.zeros((64, 2), np.float32)
            demo["rewards"] = demo["dones"] = np.zeros(64, np.float32)
            demo.create_dataset(f"obs/{KEY}", (64, 256, 256, 3), np.uint8)[-1, -1, -1] = 1 + i
    return file


def test_memory_does_not_grow_with_the_images(tmp_path: Path, write: Callable[[str], Path]) -> None:
    grown = []
    for demos in (2, 20):
        file = big_file(tmp_path / f"big{demos}", demos, write)
        before = anonymous_memory()
        frames = opened(file)
        last = np.arange(demos)[:, None] * 64 + 63
        assert frames.take(last)[:, 0, -1, -1, 0].tolist() == list(range(1, 1 + demos))
        grown.append(anonymous_memory() - before)
    assert grown[1] - grown[0] < 2 * 18 * 256 * 256 * 3  # what was taken, at most; 226 MB are on disk


def test_an_array_that_cannot_be_decoded_is_told(sound: Path) -> None:
    noise: Sequence[Any] = np.random.default_rng(0).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)  # type: ignore
    with h5py.File(sound, "r+") as file:
        del file[f"data/demo_0/obs/{KEY}"]
        chunk = file.create_dataset(f"data/demo_0/obs/{KEY}", data=noise, compression="gzip").id.get_chunk_info(0)
    content = bytearray(sound.read_bytes())
    content[chunk.byte_offset : chunk.byte_offset + chunk.size] = bytes(chunk.size)
    sound.write_bytes(content)
    with pytest.raises(DatasetError, match=r"drawer-open\.hdf5: /data/demo_0/obs/camera: cannot be read"):
        opened(sound)
