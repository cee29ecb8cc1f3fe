"""Minari datasets as they lie on disk: one observation more than actions, nested, several together."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from mtil.data.config import Decoding
from mtil.data.conversion import convert
from mtil.data.formats import demo_counts, open_tasks
from mtil.data.frames import Frames
from mtil.data.inspection import inspect
from mtil.data.store import DemoStore
from mtil.errors import DatasetError
from mtil.types import Task

LENGTHS = (4, 6, 3)


def record(folder: Path, *, dataset: str, description: str = "", nested: bool = False) -> Path:
    """A dataset as Minari 0.5.4 stores it."""
    rng = np.random.default_rng(len(dataset))
    (folder / "data").mkdir(parents=True)
    env_spec = json.dumps({"id": "Reach-v1", "kwargs": {"reward_type": "sparse"}})
    metadata = {"dataset_id": dataset, "description": description, "env_spec": env_spec, "data_format": "hdf5"}
    (folder / "data" / "metadata.json").write_text(json.dumps(metadata))
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for number, steps in enumerate(LENGTHS):
            episode = file.create_group(f"episode_{number}")
            episode.attrs["total_steps"] = steps
            episode["actions"] = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
            episode["rewards"] = rng.normal(size=steps)
            episode["terminations"] = np.zeros(steps, bool)
            episode["truncations"] = np.arange(steps) == steps - 1
            episode.create_group("infos")
            if nested:
                episode["observations/arm/joints"] = rng.normal(size=(steps + 1, 3))
                episode["observations/goal"] = rng.normal(size=(steps + 1, 2))
                episode["observations/eye"] = rng.integers(0, 256, (steps + 1, 4, 4, 3), np.uint8)
                episode["observations/mission"] = np.array([b"go"] * (steps + 1))
            else:
                episode["observations"] = rng.normal(size=(steps + 1, 3)).astype(np.float32)
    return folder


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    return record(tmp_path / "minari" / "arm" / "reach-v0", dataset="arm/reach-v0", description="reach it", nested=True)


def stored(folder: Path, name: str) -> np.ndarray:
    with h5py.File(folder / "data" / "main_data.hdf5") as file:
        return np.asarray(file[name])


def test_a_dataset_is_a_task(arm: Path) -> None:
    (task,) = open_tasks(arm)
    assert task.task == Task("arm-reach-v0", ("reach it",))
    assert (task.demos, task.lengths) == (("demo_0", "demo_1", "demo_2"), LENGTHS)
    assert {key: spec.shape for key, spec in task.observations.items()} == {
        "arm_joints": (3,),
        "eye": (4, 4, 3),
        "goal": (2,),
    }
    assert task.env_args == {"env_name": "Reach-v1", "type": 2, "env_kwargs": {"reward_type": "sparse"}}
    episode = task.read("demo_1")
    np.testing.assert_array_equal(episode.actions, stored(arm, "episode_1/actions"))
    joints = stored(arm, "episode_1/observations/arm/joints")
    np.testing.assert_array_equal(episode.observations["arm_joints"], joints[:-1].astype(np.float32))
    assert episode.dones.tolist() == [0, 0, 0, 0, 0, 1]
    assert demo_counts(arm) == {"arm-reach-v0": 3}


def test_images_are_those_that_were_acted_on(arm: Path) -> None:
    frames = Frames(open_tasks(arm), "eye")
    expected = np.concatenate([stored(arm, f"episode_{i}/observations/eye")[:-1] for i in range(3)])
    np.testing.assert_array_equal(frames.take(np.arange(sum(LENGTHS))[:, None])[:, 0], expected)


def encode(folder: Path, *, alike: bool = False) -> dict[str, np.ndarray]:
    """Encode the images as Minari does unless it is told not to; returns what they decode to, by episode."""
    found, rng = {}, np.random.default_rng(0)
    with h5py.File(folder / "data" / "main_data.hdf5", "r+") as file:
        for number, steps in enumerate(LENGTHS):
            name, rows, images = f"episode_{number}/observations/eye", [], []
            picture = rng.integers(0, 256, (32, 40, 3), np.uint8)
            for step in range(steps + 1):
                content = io.BytesIO()
                Image.fromarray(picture if alike else np.roll(picture, step, 0)).save(content, format="JPEG")
                rows.append(np.frombuffer(content.getvalue(), np.uint8))
                images.append(np.array(Image.open(content)))
            del file[name]
            same = len({len(row) for row in rows}) == 1
            assert same == alike
            file.create_dataset(name, data=rows, dtype=None if same else h5py.vlen_dtype(np.uint8), chunks=True)
            found[f"demo_{number}"] = np.stack(images)
    return found


@pytest.mark.parametrize("alike", [False, True])
@pytest.mark.parametrize("decoding", ["once", "on_the_fly"])
def test_encoded_images_are_decoded(arm: Path, decoding: Decoding, alike: bool) -> None:
    """As Minari stores them: in rows of different lengths, or of one."""
    expected = encode(arm, alike=alike)
    (task,) = open_tasks(arm)
    assert task.observations["eye"].shape == (32, 40, 3)
    for demo, images in expected.items():
        np.testing.assert_array_equal(task.read(demo).observations["eye"], images[:-1])
    frames = Frames([task], "eye", decoding=decoding)
    seen = frames.take(np.arange(sum(LENGTHS))[:, None])[:, 0]
    np.testing.assert_array_equal(seen, np.concatenate([images[:-1] for images in expected.values()]))
    convert(arm, arm.parent / "hdf5", layout="hdf5")
    (after,) = open_tasks(arm.parent / "hdf5")
    assert all(one.equals(two) for one, two in zip(task.episodes(), after.episodes(), strict=True))


def test_encoded_images_that_are_none(arm: Path) -> None:
    encode(arm)
    with h5py.File(arm / "data" / "main_data.hdf5", "r+") as file:
        array = file["episode_1/observations/eye"]
        assert isinstance(array, h5py.Dataset)
        array[3] = array[3][:200]
        (task,) = open_tasks(arm)
    for read in (lambda: task.read("demo_1"), lambda: Frames([task], "eye")):
        with pytest.raises(DatasetError, match=r"main_data\.hdf5: .*eye: a picture cannot be decoded"):
            read()
    assert "a picture cannot be decoded" in str(inspect(arm).defects)


def test_an_encoded_image_that_says_nothing_of_its_size(arm: Path) -> None:
    encode(arm)
    with h5py.File(arm / "data" / "main_data.hdf5", "r+") as file:
        array = file["episode_1/observations/eye"]
        assert isinstance(array, h5py.Dataset)
        array[0] = np.zeros(9, np.uint8)
    with pytest.raises(DatasetError, match="episode_1: eye: a picture cannot be decoded"):
        open_tasks(arm)


def test_several_are_tasks_of_one_training(arm: Path, tmp_path: Path) -> None:
    record(tmp_path / "minari" / "arm" / "push-v0", dataset="arm/push-v0", nested=True)
    store = DemoStore.open(tmp_path / "minari")
    assert store.spec.task_names == ["arm-push-v0", "arm-reach-v0"]
    assert store.task.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_flat_observation_is_called_so_and_converts(tmp_path: Path) -> None:
    flat = record(tmp_path / "flat", dataset="flat-v0")
    notes = convert(flat, tmp_path / "hdf5", layout="hdf5").notes
    assert notes == ("not kept: the observation after the last action",)
    before, after = open_tasks(flat)[0], open_tasks(tmp_path / "hdf5")[0]
    assert (after.path.name, after.demos, after.observations.keys()) == ("flat-v0.hdf5", before.demos, {"observation"})
    assert all(one.equals(two) for one, two in zip(before.episodes(), after.episodes(), strict=True))


def test_what_is_not_read_is_told(arm: Path) -> None:
    notes = {(note.key, note.message) for note in inspect(arm).notes}
    assert ("mission", "not read: one number or word a step, of shape (T,)") in notes


def put(name: str, values: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file[name] = values

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (put("episode_1/observations/goal", np.zeros((6, 2))), "episode_1: goal: expected 7 rows, found 6"),
        (
            put("episode_1/observations/goal", np.zeros((7, 3))),
            r"episode_1: goal: expected state .* \(3,\)",
        ),
        (put("episode_1/observations/goal", np.full((7, 2), np.nan)), "episode_1: goal: step 0 is NaN"),
        (put("episode_0/actions", np.zeros(4, np.int64)), "episode_0: actions: expected floating point numbers"),
        (
            put("episode_2/rewards", np.zeros(5)),
            r"episode_2: rewards: expected numbers .* found float64 \(5,\)",
        ),
        (lambda file: file.pop("episode_0/truncations"), "episode_0: truncations: expected an array, missing"),
        (lambda file: file.pop("episode_0/observations"), "episode_0: observations: expected a group or an array"),
        (lambda file: file.clear(), "holds no episodes: expected groups episode_0"),
    ],
)
def test_defects(arm: Path, change: Callable[[h5py.File], None], expected: str) -> None:
    with h5py.File(arm / "data" / "main_data.hdf5", "r+") as file:
        change(file)
    with pytest.raises(DatasetError, match=expected):
        open_tasks(arm)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"env_spec": 3, "dataset_id": "///"}'])
def test_metadata_that_is_none(arm: Path, text: str) -> None:
    (arm / "data" / "metadata.json").write_text(text)
    found = inspect(arm)
    assert found.tasks[0].demos == 3
    assert bool(found.defects) == (text != '{"env_spec": 3, "dataset_id": "///"}')


def test_no_damage_makes_it_raise(arm: Path) -> None:
    path = arm / "data" / "main_data.hdf5"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 4):
            content[at] = rng.integers(0, 256)
        path.write_bytes(content[: rng.integers(len(content) // 2, len(content) + 1)])
        inspect(arm)
