"""What demonstrations must be in every format: the same ones are stored in each, opened, and read in every way."""

import io
import json
import os
import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import PIL.Image
import pytest
from datasets import Array3D, Dataset, Features, Image, List, Value

from mtil.data.conversion import convert
from mtil.data.formats import demo_counts, open_tasks
from mtil.data.frames import Frames
from mtil.data.hdf5.writing import write_task
from mtil.data.images import Encoded
from mtil.data.inspection import inspect
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError
from mtil.types import Episode, Task

LENGTHS = (3, 5, 4)
EPISODES = [
    Episode(
        observations={
            "arm": np.random.default_rng(steps).normal(size=(steps, 2)).astype(np.float32),
            "eye": np.random.default_rng(steps).integers(0, 256, (steps, 8, 6, 3), np.uint8),
        },
        actions=np.random.default_rng(steps).uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=np.arange(steps, dtype=np.float32),
        dones=(np.arange(steps) == steps - 1).astype(np.float32),
    )
    for steps in LENGTHS
]


def hdf5(folder: Path) -> Path:
    write_task(folder / "lift.hdf5", Task("lift", ("lift it",)), EPISODES, env_args={"env_name": "lift"})
    return folder


def compressed(folder: Path) -> Path:
    with h5py.File(hdf5(folder) / "lift.hdf5", "r+") as file:
        for name in ("demo_0", "demo_1", "demo_2"):
            images = np.asarray(file[f"data/{name}/obs/eye"])
            del file[f"data/{name}/obs/eye"]
            file.create_dataset(f"data/{name}/obs/eye", data=images, compression="gzip")
    return folder


def lerobot(folder: Path) -> Path:
    convert(hdf5(folder.with_name("source")), folder, layout="lerobot")
    return folder


def minari(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    metadata = {"dataset_id": "lift", "description": "lift it", "env_spec": json.dumps({"id": "lift"})}
    (folder / "data" / "metadata.json").write_text(json.dumps(metadata))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for number, episode in enumerate(EPISODES):
            group = file.create_group(f"episode_{number}")
            for key, array in episode.observations.items():
                group[f"observations/{key}"] = np.concatenate([array, array[-1:]])
            group["actions"], group["rewards"] = episode.actions, episode.rewards
            group["terminations"], group["truncations"] = episode.dones > 0, np.zeros(len(episode), bool)
    return folder


def png(image: np.ndarray) -> dict[str, bytes | None]:
    content = io.BytesIO()
    PIL.Image.fromarray(image).save(content, format="PNG")
    return {"bytes": content.getvalue(), "path": None}


def hugging_face(folder: Path, *, per_episode: bool, pictures: bool) -> Path:
    """As `datasets` saves a row a step, or a row an episode; images as pictures, or as arrays."""
    image = Image() if pictures else Array3D((8, 6, 3), "uint8")
    step = {
        "arm": List(Value("float32")),
        "eye": image,
        "action": List(Value("float32")),
        "next.reward": Value("float32"),
        "next.done": Value("float32"),
    }
    rows = []
    for number, episode in enumerate(EPISODES):
        columns = {
            "arm": list(episode.observations["arm"]),
            "eye": [png(each) if pictures else each for each in episode.observations["eye"]],
            "action": list(episode.actions),
            "next.reward": episode.rewards.tolist(),
            "next.done": episode.dones.tolist(),
        }
        told = {"task": "lift", "instruction": "lift it"}
        if per_episode:
            rows.append(columns | told)
        else:
            at = ({"episode_index": number, "frame_index": index} for index in range(len(episode)))
            rows += [{key: values[each["frame_index"]] for key, values in columns.items()} | each | told for each in at]
    features = {key: List(feature) for key, feature in step.items()} if per_episode else step
    features |= {"task": Value("string"), "instruction": Value("string")}
    if not per_episode:
        features |= {"episode_index": Value("int64"), "frame_index": Value("int64")}
    Dataset.from_list(rows, features=Features(features)).save_to_disk(str(folder))
    return folder


FORMATS: dict[str, Callable[[Path], Path]] = {
    "hdf5": hdf5,
    "hdf5, compressed": compressed,
    "lerobot": lerobot,
    "minari": minari,
    "datasets, steps": partial(hugging_face, per_episode=False, pictures=True),
    "datasets, episodes": partial(hugging_face, per_episode=True, pictures=True),
    "datasets, steps with arrays": partial(hugging_face, per_episode=False, pictures=False),
}


@pytest.fixture(params=FORMATS)
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return FORMATS[request.param](tmp_path / "dataset")


@pytest.fixture
def task(dataset: Path) -> TaskDemos:
    (opened,) = open_tasks(dataset)
    return opened


def test_it_holds_what_was_stored(task: TaskDemos) -> None:
    assert (task.task, task.demos) == (Task("lift", ("lift it",)), ("demo_0", "demo_1", "demo_2"))
    assert task.lengths == LENGTHS
    assert {key: (spec.kind, spec.shape) for key, spec in task.observations.items()} == {
        "arm": ("state", (2,)),
        "eye": ("image", (8, 6, 3)),
    }
    assert (task.action.kind, task.action.shape) == ("action", (2,))
    assert task.env_args["env_name"] == "lift"
    assert all(one.equals(two) for one, two in zip(task.episodes(), EPISODES, strict=True))


def test_parts_of_it_are_read_in_any_order(task: TaskDemos) -> None:
    last, first = task.episodes(["arm"], ["demo_2", "demo_0"])
    for found, expected in ((last, EPISODES[2]), (first, EPISODES[0])):
        assert found.observations.keys() == {"arm"}
        np.testing.assert_array_equal(found.observations["arm"], expected.observations["arm"])
    assert task.read("demo_1").equals(EPISODES[1])
    with pytest.raises(DatasetError, match=r"dataset.*: unknown demonstration 'demo_7'.* valid: demo_0, demo_1"):
        task.read("demo_7")
    with pytest.raises(DatasetError, match=r"dataset.*: unknown observation 'ear'.* valid: arm, eye"):
        task.episodes(["ear"])


@pytest.mark.parametrize("decoding", ["once", "on_the_fly"])
def test_images_are_taken_from_where_they_lie(task: TaskDemos, decoding: str) -> None:
    expected = np.concatenate([episode.observations["eye"] for episode in EPISODES])
    rows = np.array([[11, 0], [3, 3], [7, 2]])
    frames = Frames([task], "eye", decoding=decoding)  # pyright: ignore[reportArgumentType]
    assert len(frames) == sum(LENGTHS)
    np.testing.assert_array_equal(frames.take(rows), expected[rows])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(frames)).take(rows), expected[rows])
    for images, episode in zip(task.images("eye"), EPISODES, strict=True):
        assert images.steps == len(episode)
        if isinstance(images, Encoded):
            np.testing.assert_array_equal(np.concatenate(list(images.blocks())), episode.observations["eye"])


def test_it_is_inspected_counted_and_stamped(dataset: Path, task: TaskDemos) -> None:
    found = inspect(dataset)
    assert found.defects == ()
    assert [(each.task, each.demos, each.steps) for each in found.tasks] == [(task.task, 3, sum(LENGTHS))]
    assert demo_counts(dataset) == {"lift": 3}
    before = task.stamp()
    assert task.stamp() == before
    for path in dataset.rglob("*"):
        os.utime(path, ns=(0, 1))
    assert task.stamp() != before


@pytest.mark.parametrize("layout", ["hdf5", "lerobot"])
def test_it_converts_and_loses_no_bit(dataset: Path, tmp_path: Path, layout: str) -> None:
    convert(dataset, tmp_path / "converted", layout=layout)
    (found,) = open_tasks(tmp_path / "converted")
    assert found.task == Task("lift", ("lift it",))
    assert all(one.equals(two) for one, two in zip(found.episodes(), EPISODES, strict=True))
