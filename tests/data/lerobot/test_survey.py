"""What is wrong with a LeRobot dataset is found, and named."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtil.data.formats import open_tasks
from mtil.data.inspection import inspect
from mtil.errors import DatasetError

EditJson = Callable[[Path, Callable[[Any], Any]], None]
EditTable = Callable[[Path, Callable[[dict[str, list[Any]]], Any]], None]

INFO, TASKS, EPISODES, DATA = (
    "meta/info.json",
    "meta/tasks.parquet",
    "meta/episodes/chunk-000/file-000.parquet",
    "data/chunk-000/file-000.parquet",
)


def found(folder: Path) -> list[str]:
    return [str(defect).removeprefix(f"{folder}: ") for defect in inspect(folder).defects]


def test_a_sound_dataset_is_described(pictures: Path) -> None:
    inspection = inspect(pictures)
    assert inspection.defects == ()
    assert [(each.task.name, each.demos, each.steps) for each in inspection.tasks] == [("lift", 3, 15), ("push", 2, 10)]
    assert {key: spec.shape for key, spec in inspection.features.items()} == {
        "proprio": (4,),
        "height": (1,),
        "top_image": (64, 48, 3),
        "actions": (2,),
    }
    assert [note.message for note in inspection.notes] == [
        "pictures: training on them decodes 0.2 MB into the cache, once (data.decoding=on_the_fly: none)"
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda i: i.update(codebase_version="v2.1"), "codebase_version: expected 'v3.0', found 'v2.1'; LeRobot's own"),
        (lambda i: i.update(fps=0), "fps: input should be greater than 0, found '0'"),
        (lambda i: i.pop("total_frames"), "total_frames: field required"),
        (lambda i: i.update(total_episodes=6), "expected episodes 0 to 5, each once, found 5 rows"),
        (lambda i: i.update(total_frames=26), "length: expected 26 frames in all, found 25"),
        (lambda i: i.update(data_path="../../{chunk_index}"), "data_path: expected a path below the dataset's folder"),
        (lambda i: i.update(data_path="{chunk_index.__class__}"), "data_path: expected a path below"),
        (lambda i: i.update(data_path="{secret}"), "data_path: expected chunk_index, file_index, video_key in braces"),
        (lambda i: i.update(data_path="data/{file_index}"), "data/0: cannot be read: No such file or directory"),
        (lambda i: i["features"].pop("action"), "action: missing: expected a feature of this name"),
        (lambda i: i["features"]["action"].update(dtype="int64"), "action: expected floating point numbers, found int"),
        (
            lambda i: i["features"]["action"].update(shape=[3]),
            "action: expected 3 numbers in each row, found 2",
        ),
        (
            lambda i: i["features"]["action"].update(shape=[0]),
            "action.shape.0: input should be greater than 0",
        ),
        (
            lambda i: i["features"]["observation.images.top_image"].update(shape=[64, 48, 1]),
            "observation.images.top_image: expected an image of shape \\(H, W, 3\\), found \\(64, 48, 1\\)",
        ),
        (
            lambda i: i["features"].update({"observation.top_image": {"dtype": "float32", "shape": [4]}}),
            "observation.top_image: would be 'top_image' among the observations, as another feature is already",
        ),
        (lambda i: i.update(features={"action": i["features"]["action"]}), "features: holds no observations"),
        (lambda i: i["features"]["next.reward"].update(shape=[2]), "next.reward: expected one number a step, found"),
        (
            lambda i: i["features"].pop("next.done"),
            "expected the columns that meta/info.json tells of, found 'next.done'",
        ),
        (
            lambda i: i["features"]["next.reward"].update(dtype="int64"),
            "next.reward: expected int64 as meta/info.json says, found float",
        ),
    ],
)
def test_what_it_says_of_itself(
    pictures: Path, edit_json: EditJson, change: Callable[[Any], Any], expected: str
) -> None:
    edit_json(pictures / INFO, change)
    defects = found(pictures)
    assert re.search(expected, "\n".join(defects)), defects
    with pytest.raises(DatasetError, match=r"; see `mtil inspect "):
        open_tasks(pictures)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "[" * 100_000, '{"fps": NaN}'])
def test_what_is_no_description(pictures: Path, text: str) -> None:
    (pictures / INFO).write_text(text)
    assert all("meta/info.json" in defect for defect in found(pictures))
    assert found(pictures)


EPISODE_CHANGES = [
    (
        lambda c: c["length"].__setitem__(1, 8),
        "dataset_to_index: expected what the lengths add up to",
    ),
    (lambda c: c["length"].__setitem__(1, 0), "length: expected episodes of one step or more"),
    (lambda c: c["episode_index"].__setitem__(1, 7), "expected episodes 0 to 4, each once, found 5 rows"),
    (
        lambda c: c["tasks"].__setitem__(0, ["lift it", "push it"]),
        "episode 0: expected one task, of those in",
    ),
    (lambda c: c["tasks"].__setitem__(0, ["fly"]), r"tasks: episode 0: expected one task.* found \['fly'\]"),
    (lambda c: c["tasks"].__setitem__(0, None), "tasks: episode 0: expected one task"),
    (lambda c: c["length"].__setitem__(0, None), "length: expected a value in each row, found 1 empty ones"),
    (lambda c: c.pop("tasks"), "expected a column 'tasks', found episode_index"),
    (
        lambda c: c.update({"data/file_index": [9, 9, 9]}),
        r"file-009\.parquet: cannot be read: No such file",
    ),
]


@pytest.mark.parametrize(("change", "expected"), EPISODE_CHANGES)
def test_its_table_of_episodes(
    pictures: Path, edit_table: EditTable, change: Callable[[dict[str, list[Any]]], Any], expected: str
) -> None:
    edit_table(pictures / EPISODES, change)
    with pytest.raises(DatasetError, match=expected):
        open_tasks(pictures)


FRAME_CHANGES = [
    (lambda c: c["index"].__setitem__(2, 3), "index: row 2: expected 2, found 3"),
    (lambda c: c["frame_index"].reverse(), "frame_index: row 0: expected 0, found 2"),
    (lambda c: c["episode_index"].__setitem__(5, 0), "episode_index: row 5: expected 1, found 0"),
    (lambda c: c["task_index"].__setitem__(4, 1), "task_index: row 4: expected 0, found 1"),
    (lambda c: c["timestamp"].__setitem__(1, 0.2), "timestamp: row 1: expected 0.1, found 0.2"),
    (lambda c: c["timestamp"].__setitem__(1, float("nan")), "timestamp: row 1: expected 0.1, found nan"),
    (lambda c: c["action"].__setitem__(6, [0.0, float("inf")]), "episode 1: action: step 1 is NaN, infinite or beyond"),
    (lambda c: c["observation.height"].__setitem__(6, None), "observation.height: expected a value in each row"),
    (lambda c: c["next.reward"].__setitem__(6, float("nan")), "episode 1: next.reward: step 1 is NaN"),
    (
        lambda c: [column.pop() for column in c.values()],
        "expected 15 rows, as many as its .* found 14",
    ),
    (lambda c: c.pop("action"), "expected a column 'action'"),
]


@pytest.mark.parametrize(("change", "expected"), FRAME_CHANGES)
def test_its_frames(
    pictures: Path, edit_table: EditTable, change: Callable[[dict[str, list[Any]]], Any], expected: str
) -> None:
    edit_table(pictures / DATA, change)
    with pytest.raises(DatasetError, match=expected):
        open_tasks(pictures)


def test_pictures_of_another_size_are_found(pictures: Path, edit_json: EditJson) -> None:
    edit_json(pictures / INFO, lambda i: i["features"]["observation.images.top_image"].update(shape=[48, 64, 3]))
    assert len(found(pictures)) == 5
    assert re.search(
        r"episode 0: top_image: .*expected pictures of shape \(48, 64, 3\), found \(64, 48, 3\)", found(pictures)[0]
    )


def test_a_picture_that_is_none_is_found(pictures: Path, edit_table: EditTable) -> None:
    def spoil(columns: dict[str, list[Any]]) -> None:
        cells = columns["observation.images.top_image"]
        cells[1] = {"bytes": cells[1]["bytes"][:60], "path": None}
        cells[6] = {"bytes": None, "path": "/etc/hostname"}

    edit_table(pictures / DATA, spoil)
    first, second = found(pictures)
    assert "episode 0: top_image: " in first
    assert "a picture cannot be decoded" in first
    assert "episode 1: top_image: " in second
    assert "expected the bytes of a picture, found {'bytes': None" in second


def test_a_writer_that_died_is_told(pictures: Path) -> None:
    whole = (pictures / DATA).read_bytes()
    (pictures / DATA).write_bytes(whole[:-8])
    with pytest.raises(DatasetError, match=r"expected a parquet file with a footer, found none: its writer"):
        open_tasks(pictures)


def test_a_film_too_short_is_told(films: Path, edit_table: EditTable) -> None:
    name = "videos/observation.images.top_image"
    edit_table(films / EPISODES, lambda c: c[f"{name}/from_timestamp"].__setitem__(2, 1.3))
    message = f"episode 2: {name}/chunk-000/file-000.mp4: step 2 has no frame in the film, which lasts 1.4000 s"
    assert found(films)[0] == message
    edit_table(films / EPISODES, lambda c: c[f"{name}/from_timestamp"].__setitem__(2, float("nan")))
    assert "from_timestamp: expected seconds, found nan" in found(films)[0]
    edit_table(films / EPISODES, lambda c: c[f"{name}/from_timestamp"].__setitem__(2, 1.2))
    edit_table(films / EPISODES, lambda c: c[f"{name}/from_timestamp"].__setitem__(1, 0.4))
    message = "expected a part of the film for each episode alone, found that those of 0 and 1 overlap"
    assert message in found(films)[0]
    edit_table(films / EPISODES, lambda c: c[f"{name}/from_timestamp"].__setitem__(1, 0.5))
    film = films / name / "chunk-000/file-000.mp4"
    film.write_bytes(b"no film")
    assert "no film that can be read" in found(films)[0]
    film.unlink()
    assert "No such file" in found(films)[0]


def test_a_sidecar_that_no_longer_fits_is_told(pictures: Path, edit_json: EditJson) -> None:
    sidecar = pictures / "meta/mtil.json"
    whole = sidecar.read_text()
    for change, message in [
        (lambda s: s["tasks"].pop(), "found 1 tasks where the table has 2"),
        (lambda s: s["tasks"][0]["demos"].pop(), "found 2 demonstrations of 'lift' where there are 3 episodes"),
        (lambda s: s["tasks"][0]["masks"].update(train=["x"]), "found 'x' in the mask 'train' of 'lift'"),
        (lambda s: s["tasks"][0].update(instructions=["push it"]), "'lift', none of whose sentences is 'lift it'"),
        (lambda s: s["tasks"][0].update(name="x" * 9999, instructions=[]), f"found '{'x' * 80}', none of whose"),
        (lambda s: s["tasks"][0].update(name=3), "tasks.0.name: input should be a valid string"),
    ]:
        edit_json(sidecar, change)
        assert message in found(pictures)[0]
        sidecar.write_text(whole)
    sidecar.unlink()
    assert [task.task.name for task in open_tasks(pictures)] == ["lift-it", "push-it"]


def test_both_spellings_of_the_table_of_tasks(pictures: Path) -> None:
    path = pictures / TASKS
    table = pq.read_table(path).rename_columns(["task_index", "task"])
    pq.write_table(table.take([1, 0]), path)
    assert [task.task.name for task in open_tasks(pictures)] == ["lift", "push"]
    pq.write_table(pa.table({"task_index": [0, 2], "task": ["lift it", "push it"]}), path)
    assert "task_index: expected each of 0 to 1 once, found [0, 2]" in found(pictures)[0]


def test_files_of_another_format_beside_it_are_told(pictures: Path, source: Path) -> None:
    (pictures / "lift.hdf5").write_bytes((source / "lift.hdf5").read_bytes())
    assert found(pictures) == [
        "lift.hdf5: expected no HDF5 files beside a LeRobot dataset: move it, or them, elsewhere"
    ]
