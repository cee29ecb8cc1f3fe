"""Images scaled as they are read: from whatever holds them, once or each time, and as a policy is shown them."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mtil.data.config import DataConfig, Decoding
from mtil.data.formats import open_tasks
from mtil.data.scaling import as_taken, scaled, with_image_size
from mtil.data.store import DemoStore
from mtil.errors import DatasetError

SIZE = 4


@pytest.fixture(params=["mapped", "compressed"])
def folder(request: pytest.FixtureRequest, write: Callable[[str], Path]) -> Path:
    """Images of 6 x 8 pixels, as they lie in a file, or compressed."""
    path = write("lift")
    if request.param == "compressed":
        with h5py.File(path, "r+") as file:
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                images = np.asarray(demo["obs/camera"])
                del demo["obs/camera"]
                demo.create_dataset("obs/camera", data=images, compression="gzip")
    return path.parent


@pytest.mark.parametrize("decoding", ["once", "on_the_fly"])
def test_a_store_hands_out_scaled_images(folder: Path, decoding: Decoding) -> None:
    full = DemoStore.open(folder, keys=["camera", "proprio"])
    small = DemoStore.open(folder, keys=["camera", "proprio"], image_size=SIZE, decoding=decoding)
    (camera, _) = small.spec.observations
    assert (camera.shape, camera.scaled) == ((SIZE, SIZE, 3), True)
    rows = np.arange(len(full.features["actions"]))[::-1][:, None]
    expected = scaled(full.images["camera"].take(rows)[:, 0], (SIZE, SIZE))
    assert torch.equal(small.images["camera"].take(rows.copy())[:, 0], expected)
    assert torch.equal(small.features["proprio"], full.features["proprio"])


def test_episodes_have_scaled_images_too(folder: Path) -> None:
    (task,) = open_tasks(folder)
    found, stored = with_image_size(task, SIZE).read("demo_1"), task.read("demo_1")
    expected = scaled(torch.from_numpy(stored.observations["camera"]), (SIZE, SIZE)).numpy()
    np.testing.assert_array_equal(found.observations["camera"], expected)
    np.testing.assert_array_equal(found.observations["proprio"], stored.observations["proprio"])


def test_what_is_shown_is_scaled_as_the_demonstrations_were(folder: Path) -> None:
    """To the bit: the policy sees in the simulator what it saw in training."""
    (task,) = open_tasks(folder)
    feature = with_image_size(task, SIZE).observations["camera"]
    (image, *_), (small, *_) = (
        each.read("demo_0").observations["camera"] for each in (task, with_image_size(task, SIZE))
    )
    np.testing.assert_array_equal(as_taken(image, feature), small)
    np.testing.assert_array_equal(as_taken(small, feature), small)
    np.testing.assert_array_equal(as_taken(image, task.observations["camera"]), image)


def test_nothing_is_done_where_sizes_agree(three_tasks: Path) -> None:
    for task in open_tasks(three_tasks):
        same = with_image_size(task, 2)
        assert same.observations["camera"].scaled  # in a simulator, whatever size it has there
        assert list(same.images("camera")) == list(task.images("camera"))
        assert same.read("demo_0").equals(task.read("demo_0"))
        assert with_image_size(task, None) is task


def test_datasets_of_different_sizes_are_mixed_once_they_are_scaled(folder: Path, three_tasks: Path) -> None:
    datasets = [{"path": three_tasks, "tasks": ["push"]}, {"path": folder}]
    config = {"mixture": datasets, "observations": ["camera", "proprio"]}
    expected = (
        r"expected image of shape \(2, 2, 3\) as in .*push\.hdf5, found image of shape \(6, 8, 3\).*data\.image_size"
    )
    with pytest.raises(DatasetError, match=expected):
        DemoStore.of(DataConfig.model_validate(config))
    store = DemoStore.of(DataConfig.model_validate(config | {"image_size": SIZE}))
    assert store.images["camera"].take(np.arange(3)[:, None]).shape == (3, 1, SIZE, SIZE, 3)


def test_a_file_that_changed_meanwhile_is_told(folder: Path) -> None:
    store = DemoStore.open(folder, keys=["camera"], image_size=SIZE, decoding="on_the_fly")
    with h5py.File(folder / "lift.hdf5", "r+") as file:
        file["data"].attrs["more"] = "x" * 5000
    with pytest.raises(DatasetError, match="changed since the dataset was opened"):
        store.images["camera"].take(np.zeros((1, 1), np.int64))
