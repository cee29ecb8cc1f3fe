"""Datasets as LeRobot itself writes them: all tasks in one file, several tables, splits."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from mtil.data.config import DataConfig
from mtil.data.conversion import convert
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.store import DemoStore
from mtil.data.survey import name_for
from mtil.types import Task

LENGTHS = (3, 5, 4, 2)
TASKS = (0, 1, 1, 0)
SENTENCES = ("Pick up the cube, please!", "Öffne die Schublade")


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Four episodes of two tasks, alternating, in two files in different chunks."""
    folder = tmp_path / "aloha"
    rng = np.random.default_rng(0)
    features: dict[str, Any] = {
        "observation.state": {"dtype": "float32", "shape": [3], "names": {"motors": ["a", "b", "c"]}},
        "observation.force": {"dtype": "float64", "shape": [1], "names": None},
        "observation.map": {"dtype": "float32", "shape": [2, 2], "names": None},
        "action": {"dtype": "float32", "shape": [2], "names": None},
        "next.success": {"dtype": "bool", "shape": [1], "names": None},
        "note": {"dtype": "string", "shape": [1], "names": None},
    }
    index = {name: {"dtype": "int64", "shape": [1], "names": None} for name in ("episode_index", "index")}
    info = {
        "codebase_version": "v3.0",
        "robot_type": "aloha",
        "total_episodes": 4,
        "total_frames": sum(LENGTHS),
        "total_tasks": 2,
        "chunks_size": 1,
        "fps": 50,
        "splits": {"train": "0:3", "test": "3:4"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features | index,
        "from_the_future": {"anything": 1},
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps(info))
    pq.write_table(pa.table({"task_index": [0, 1], "task": list(SENTENCES)}), folder / "meta/tasks.parquet")
    first = 0
    for file, episodes in enumerate([(0, 1, 2), (3,)]):
        rows: list[dict[str, Any]] = []
        table: list[dict[str, Any]] = []
        for episode in episodes:
            steps = LENGTHS[episode]
            rows += [
                {
                    "observation.state": rng.normal(size=3).tolist(),
                    "observation.force": float(first + step),
                    "observation.map": [[0.0, 1.0], [2.0, 3.0]],
                    "action": rng.uniform(-1, 1, 2).tolist(),
                    "next.success": step == steps - 1,
                    "note": "hello",
                    "timestamp": step / 50,
                    "frame_index": step,
                    "episode_index": episode,
                    "index": first + step,
                    "task_index": TASKS[episode],
                }
                for step in range(steps)
            ]
            table.append(
                {
                    "episode_index": episode,
                    "tasks": [SENTENCES[TASKS[episode]]],
                    "length": steps,
                    "data/chunk_index": file,
                    "data/file_index": 0,
                    "dataset_from_index": first,
                    "dataset_to_index": first + steps,
                }
            )
            first += steps
        for kind, values in (("data", rows), ("meta/episodes", table)):
            path = folder / f"{kind}/chunk-{file:03d}/file-000.parquet"
            path.parent.mkdir(parents=True)
            pq.write_table(pa.Table.from_pylist(values), path)
    return folder


def test_its_tasks_are_named_for_their_sentences(foreign: Path) -> None:
    pick, drawer = open_tasks(foreign)
    assert pick.task == Task("pick-up-the-cube-please", (SENTENCES[0],))
    assert drawer.task == Task("öffne-die-schublade", (SENTENCES[1],))
    assert (pick.demos, pick.lengths) == (("demo_0", "demo_3"), (3, 2))
    assert (drawer.demos, drawer.lengths) == (("demo_1", "demo_2"), (5, 4))
    assert pick.masks == {"train": ("demo_0",), "test": ("demo_3",)}
    assert pick.env_args == {"env_name": "aloha", "type": 2, "env_kwargs": {"control_freq": 50.0}}
    assert list(pick.observations) == ["state", "force"]
    assert pick.read("demo_3").observations["force"].tolist() == [[12.0], [13.0]]
    assert pick.read("demo_3").dones.tolist() == [0, 1]
    assert pick.unread() == (
        "observation.force (stored as float64, read as float32)",
        "observation.map (not read: expected numbers of shape (D,), found float32 (2, 2))",
        "next.success (not read: no observation (bool (1,)))",
        "note (not read: no observation (string (1,)))",
    )


def test_it_is_trained_on_stratified(foreign: Path) -> None:
    config = DataConfig(path=foreign, batch_size=8, train_mask="train", validation_mask="test")
    data = DemoDataModule(config, history=1, chunk=2, seed=0, kinds={"language": 1.0})
    batch = next(iter(data.train_dataloader()))
    assert torch.bincount(batch.task).tolist() == [4, 4]
    assert batch.observations["state"].shape == (8, 1, 3)


def test_it_becomes_hdf5_and_comes_back(foreign: Path, tmp_path: Path) -> None:
    found = convert(foreign, tmp_path / "hdf5", layout="hdf5")
    assert "not kept: note (not read: no observation (string (1,)))" in found.notes
    convert(tmp_path / "hdf5", tmp_path / "back", layout="lerobot")
    assert json.loads((tmp_path / "back/meta/info.json").read_text())["fps"] == 50
    stores = [DemoStore.open(path) for path in (foreign, tmp_path / "hdf5", tmp_path / "back")]
    for store in stores[1:]:
        assert store.spec.task_names == sorted(stores[0].spec.task_names)
    for before, after in zip(open_tasks(foreign), open_tasks(tmp_path / "back"), strict=True):
        assert all(one.equals(two) for one, two in zip(before.episodes(), after.episodes(), strict=True))


def test_names_that_would_be_equal_get_numbers(foreign: Path) -> None:
    table = pa.table({"task_index": [0, 1], "task": ["Pick it up!", "pick it up"]})
    pq.write_table(table, foreign / "meta/tasks.parquet")
    for path in (foreign / "meta/episodes").glob("*/*.parquet"):
        rows = pq.read_table(path).to_pylist()
        for row in rows:
            row["tasks"] = [["Pick it up!", "pick it up"][SENTENCES.index(row["tasks"][0])]]
        pq.write_table(pa.Table.from_pylist(rows), path)
    assert [task.task.name for task in open_tasks(foreign)] == ["pick-it-up-0", "pick-it-up-1"]


@pytest.mark.parametrize(
    ("sentence", "name"),
    [
        ("Open the drawer.", "open-the-drawer"),
        ("", "task"),
        ("../etc", "etc"),
        ("a/b,c", "a-b-c"),
        ("x" * 300, "x" * 80),
    ],
)
def test_names(sentence: str, name: str) -> None:
    assert name_for(sentence) == name
