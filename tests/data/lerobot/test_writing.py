"""What is written, and that it comes back."""

import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mtil.data.conversion import Converted, convert
from mtil.data.formats import demo_counts, open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.lerobot import schema
from mtil.errors import ConfigError, DatasetError, OutputError
from mtil.types import Episode, Task


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_there_and_back_every_bit_is_kept(source: Path, pictures: Path, tmp_path: Path) -> None:
    assert convert(pictures, tmp_path / "back", layout="hdf5") == Converted(2, 0)
    assert contents(tmp_path / "back") == contents(source)
    for before, after in zip(open_tasks(source), open_tasks(pictures), strict=True):
        assert (after.task, after.demos, after.lengths, after.masks, after.env_args) == (
            before.task,
            before.demos,
            before.lengths,
            before.masks,
            before.env_args,
        )
        assert after.observations == before.observations
        assert all(one.equals(two) for one, two in zip(before.episodes(), after.episodes(), strict=True))
        assert after.read("demo_3", ["height"]).observations.keys() == {"height"}
    assert demo_counts(source) == demo_counts(pictures) == {"lift": 3, "push": 2}


def test_films_are_close_and_all_else_is_equal(source: Path, films: Path) -> None:
    for before, after in zip(open_tasks(source), open_tasks(films), strict=True):
        for one, two in zip(before.episodes(), after.episodes(), strict=True):
            images, filmed = one.observations["top_image"], two.observations["top_image"]
            error = np.mean((images.astype(float) - filmed) ** 2, axis=(1, 2, 3))
            assert (10 * np.log10(255**2 / error)).min() > 35  # dB
            np.testing.assert_array_equal(one.observations["proprio"], two.observations["proprio"])
            np.testing.assert_array_equal(one.actions, two.actions)


def test_the_layout_is_lerobots(pictures: Path, films: Path) -> None:
    info = json.loads((films / "meta" / "info.json").read_text())
    assert (info["codebase_version"], info["fps"], info["total_episodes"], info["total_frames"]) == ("v3.0", 10, 5, 25)
    assert info["features"]["observation.images.top_image"]["dtype"] == "video"
    assert info["features"]["observation.proprio"] == {"dtype": "float32", "shape": [4], "names": None}
    rows = pq.read_table(films / "meta/episodes/chunk-000/file-001.parquet").to_pylist()
    assert [row["episode_index"] for row in rows] == [3, 4]
    assert [(row["dataset_from_index"], row["dataset_to_index"]) for row in rows] == [(15, 19), (19, 25)]
    assert [row["videos/observation.images.top_image/from_timestamp"] for row in rows] == [0, 0.4]
    assert rows[0]["tasks"] == ["push it"]
    table = pq.read_table(pictures / "data/chunk-000/file-001.parquet")
    assert table["index"].to_pylist() == list(range(15, 25))
    assert table["frame_index"].to_pylist() == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5]
    assert table["task_index"].to_pylist() == [1] * 10
    assert str(table.schema.field("action").type) == "fixed_size_list<element: float>[2]"
    pandas = pq.read_table(pictures / "meta/tasks.parquet").schema.pandas_metadata
    assert pandas["index_columns"] == ["__index_level_0__"]


@pytest.mark.parametrize("name", ["meta/tasks.parquet", "meta/episodes/chunk-000/file-000.parquet"])
def test_every_byte_of_a_page_is_guarded_by_a_checksum(pictures: Path, name: str) -> None:
    content = bytearray((pictures / name).read_bytes())
    content[content.index(b"lift it") + 2] ^= 1
    (pictures / name).write_bytes(content)
    with pytest.raises(DatasetError, match="CRC checksum verification failed"):
        open_tasks(pictures)


def test_statistics_are_those_of_the_numbers(pictures: Path) -> None:
    found = json.loads((pictures / "meta/stats.json").read_text())
    actions = np.concatenate([e.actions for task in open_tasks(pictures) for e in task.episodes()]).astype(float)
    for name, values in {"min": actions.min(0), "max": actions.max(0), "mean": actions.mean(0)}.items():
        np.testing.assert_allclose(found["action"][name], values)
    np.testing.assert_allclose(found["action"]["std"], actions.std(0))
    images = np.concatenate([e.observations["top_image"] for task in open_tasks(pictures) for e in task.episodes()])
    image = found["observation.images.top_image"]
    assert np.shape(image["mean"]) == (3, 1, 1)
    np.testing.assert_allclose(np.ravel(image["mean"]), images.mean((0, 1, 2)) / 255)
    assert found["action"]["count"] == [25]


def test_files_are_begun_anew_where_they_are_full(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema, "DATA_SIZE", 0.01)
    convert(source, tmp_path / "small", layout="lerobot", filmed=True)
    monkeypatch.setattr(schema, "FILM_SIZE", 1e-6)
    convert(source, tmp_path / "smaller", layout="lerobot", filmed=True)
    assert len(list((tmp_path / "smaller").glob("videos/*/*/*.mp4"))) == 5
    for folder in (tmp_path / "small", tmp_path / "smaller"):
        pairs = zip(open_tasks(source), open_tasks(folder), strict=True)
        actions = [(a.actions, b.actions) for x, y in pairs for a, b in zip(x.episodes(), y.episodes(), strict=True)]
        assert all(np.array_equal(one, two) for one, two in actions)


def test_run_again_it_keeps_what_is_complete(source: Path, pictures: Path) -> None:
    whole = contents(pictures)
    assert convert(source, pictures, layout="lerobot") == Converted(0, 2)
    (pictures / "meta/episodes/chunk-000/file-001.parquet").unlink()
    (pictures / "meta/info.json").unlink()
    (pictures / "data/chunk-000/.file-001.parquet.partial").write_text("half a file")
    assert convert(source, pictures, layout="lerobot") == Converted(1, 1)
    assert contents(pictures) == whole


KILLED = """
import sys, time
from pathlib import Path
from mtil.data.conversion import convert

def slowly(name, share, files):
    print(name, flush=True)
    time.sleep(0.2)

convert(Path(sys.argv[1]), Path(sys.argv[2]), layout="lerobot", report=slowly)
"""


def test_killed_it_finishes_to_the_same_bytes(source: Path, pictures: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        while "push" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "killed/meta/info.json").exists()
    convert(source, tmp_path / "killed", layout="lerobot")
    left = contents(tmp_path / "killed")
    assert {name: left[name] for name in left if not name.endswith(".partial")} == contents(pictures)


def test_another_dataset_in_its_place_is_told(source: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"file-000\.parquet: expected what lift of .* becomes, found something else"):
        convert(source, pictures, layout="lerobot", fps=20.0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(OutputError, match=r"other: expected a new folder, or a LeRobot .* found notes\.txt"):
        convert(source, tmp_path / "other", layout="lerobot")
    with pytest.raises(OutputError, match="expected another place than that of the source"):
        convert(pictures, pictures, layout="lerobot")
    with pytest.raises(ConfigError, match="--film, --fps: expected with --to lerobot alone"):
        convert(pictures, tmp_path / "back", layout="hdf5", filmed=True)


def test_what_has_no_place_is_told(source: Path, tmp_path: Path) -> None:
    import h5py

    with h5py.File(source / "lift.hdf5", "r+") as file:
        file["data"].attrs["bddl_file_name"] = "lift.bddl"
        file["data"].attrs["env_args"] = "{}"
        file["data/demo_3"].attrs["model_file"] = "<mujoco/>"
        file["data/demo_3/states"][...] = 1  # pyright: ignore[reportIndexIssue]
        file["data/demo_3/next_obs/proprio"] = np.zeros((7, 4))
    assert convert(source, tmp_path / "lossy", layout="lerobot", filmed=True).notes == (
        "not kept: attribute bddl_file_name",
        "not kept: attribute model_file of demonstrations",
        "not kept: next_obs",
        "not kept: states",
        "not kept: the images' exact values, which films change a little",
    )


def test_steps_a_second_are_assumed_where_nothing_tells(three_tasks: Path, tmp_path: Path) -> None:
    found = convert(three_tasks / "lift.hdf5", tmp_path / "new", layout="lerobot")
    assert found.notes == ("assumed: 10 steps a second, which nothing tells (--fps)",)
    assert convert(three_tasks / "push.hdf5", tmp_path / "told", layout="lerobot", fps=20.0).notes == ()


def test_tasks_that_differ_do_not_fit(three_tasks: Path, tmp_path: Path) -> None:
    expected = r"proprio: expected one shape in all tasks, .* \(3,\) in .*lift\.hdf5, \(5,\) in .*push\.hdf5"
    with pytest.raises(DatasetError, match=expected):
        convert(three_tasks, tmp_path / "new", layout="lerobot")
    assert not (tmp_path / "new").exists()


def test_odd_images_are_no_films(tmp_path: Path) -> None:
    odd = Episode({"eye": np.zeros((2, 5, 4, 3), np.uint8)}, np.zeros((2, 1), np.float32), np.zeros(2), np.zeros(2))
    write_task(tmp_path / "odd" / "look.hdf5", Task("look"), [odd], env_args={})
    with pytest.raises(DatasetError, match=r"eye: expected images of even height .* found \(5, 4, 3\)"):
        convert(tmp_path / "odd", tmp_path / "films", layout="lerobot", filmed=True)
    convert(tmp_path / "odd", tmp_path / "pictures", layout="lerobot")
    assert open_tasks(tmp_path / "pictures")[0].task == Task("look")


def test_sentences_of_several_tasks_are_told_apart(tmp_path: Path) -> None:
    one = Episode({"arm": np.zeros((2, 1))}, np.zeros((2, 1), np.float32), np.zeros(2), np.zeros(2))
    for name in ("left", "right"):
        write_task(tmp_path / "hdf5" / f"{name}.hdf5", Task(name, ("push it",)), [one], env_args={})
    write_task(tmp_path / "hdf5" / "untold.hdf5", Task("untold"), [one], env_args={})
    convert(tmp_path / "hdf5", tmp_path / "new", layout="lerobot")
    sentences = pq.read_table(tmp_path / "new/meta/tasks.parquet")["__index_level_0__"].to_pylist()
    assert sentences == ["push it (left)", "push it (right)", "untold"]
    assert [task.task for task in open_tasks(tmp_path / "new")] == [
        Task("left", ("push it",)),
        Task("right", ("push it",)),
        Task("untold"),
    ]


@contextmanager
def small_disk() -> Iterator[None]:
    """Files can grow to 4096 bytes and no further, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@pytest.mark.parametrize("filmed", [False, True])
def test_a_full_disk_is_told(source: Path, tmp_path: Path, filmed: bool) -> None:
    with small_disk(), pytest.raises(OutputError, match="new: cannot be written: File too large"):
        convert(source, tmp_path / "new", layout="lerobot", filmed=filmed)
    assert not list((tmp_path / "new").rglob("*.partial"))
    assert not list((tmp_path / "new").rglob("meta/*"))
