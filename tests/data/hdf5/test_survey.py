import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtil.data.cameras import encode
from mtil.data.config import ClipsConfig
from mtil.data.formats import open_tasks
from mtil.data.hdf5.survey import survey
from mtil.data.hdf5.task_file import open_task
from mtil.data.store import DemoStore
from mtil.data.survey import conflicts
from mtil.errors import DatasetError
from mtil.types import CameraView


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damage_makes_it_raise(sound: Path, data: st.DataObject) -> None:
    content = bytearray(sound.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        content[at : at + len(patch)] = patch
    damaged = sound.parent / "damaged.h5"
    damaged.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    assert all("\n" not in str(defect) for defect in survey(damaged, decompress_images=True).defects)


def test_a_sound_file_is_described(sound: Path) -> None:
    found = survey(sound)
    assert found.defects == ()
    assert found.notes == ()
    assert found.lengths == {"demo_0": 5, "demo_1": 6, "demo_2": 4}
    assert found.masks == {"train": ("demo_0", "demo_2"), "valid": ("demo_1",)}
    assert {key: (spec.kind, spec.shape) for key, spec in found.features.items()} == {
        "actions": ("action", (2,)),
        "camera": ("image", (6, 8, 3)),
        "proprio": ("state", (4,)),
    }


def test_the_commonest_form_is_the_rule(sound: Path) -> None:
    with h5py.File(sound, "r+") as file:
        del file["data/demo_0/obs/proprio"]
        file["data/demo_0/obs/proprio"] = np.zeros((5, 9), np.float32)
    found = survey(sound)
    assert [defect.demo for defect in found.defects] == ["demo_0"]
    assert found.features["proprio"].shape == (4,)


@pytest.mark.parametrize(
    ("key", "array", "legal"),
    [("proprio", np.zeros((5, 9), np.float32), True), ("camera", np.zeros((5, 4, 4, 3), np.uint8), False)],
)
def test_tasks_may_differ_in_width_but_not_in_image_size(
    write: Callable[[str], Path], key: str, array: np.ndarray, legal: bool
) -> None:
    paths = [write(name) for name in ("reach", "push", "sweep")]
    with h5py.File(paths[2], "r+") as file:
        for demo, steps in survey(paths[2]).lengths.items():
            del file[f"data/{demo}/obs/{key}"]
            file[f"data/{demo}/obs/{key}"] = np.resize(array, (steps, *array.shape[1:]))
    surveys = [survey(path) for path in paths]
    assert not any(each.defects for each in surveys)
    assert [defect.file for defect in conflicts(surveys)] == ([] if legal else [str(paths[2])])


def show(path: Path, views: Sequence[CameraView], *, size: int = 8) -> None:
    """Add images of cameras to a file, which tells of them what these views say."""
    with h5py.File(path, "r+") as file:
        for demo, steps in survey(path).lengths.items():
            for view in views:
                file[f"data/{demo}/obs/{view.key}"] = np.zeros((steps, size, size, 3), np.uint8)
        file["data"].attrs["env_args"] = json.dumps(encode({"env_name": path.stem, "type": 2}, views))


def test_a_file_tells_the_views_that_its_images_show(sound: Path) -> None:
    views = (CameraView("corner", 8), CameraView("top", 8, (0.0, 0.5, 0.5, 1.0)))
    show(sound, views)
    cameras = {key: feature.camera for key, feature in open_task(sound).observations.items()}
    assert cameras == {"camera": None, "proprio": None, "corner_image": views[0], "top_image": views[1]}


def test_a_scaled_frame_of_a_clip_tells_its_camera(sound: Path) -> None:
    view = CameraView("top", 8, (0.0, 0.5, 0.5, 1.0))
    show(sound, [view])
    frame = DemoStore.open(sound, clips=ClipsConfig(images=view.key, size=4, shift=0)).spec.clip
    assert frame is not None
    assert frame.shape == (4, 4, 3)
    assert frame.camera == replace(view, size=4)


def test_images_of_another_size_than_told_are_no_cameras(sound: Path) -> None:
    show(sound, [CameraView("corner", 8)], size=4)
    assert open_task(sound).observations["corner_image"].camera is None


@pytest.mark.parametrize("odd", [CameraView("corner", 8), CameraView("corner", 8, (0.0, 0.0, 0.5, 0.5))])
def test_views_of_one_dataset_agree(write: Callable[[str], Path], odd: CameraView) -> None:
    paths = [write(name) for name in ("reach", "push", "sweep")]
    for path, view in zip(paths, (CameraView("corner", 8, (0.0, 0.5, 0.5, 1.0)),) * 2 + (odd,), strict=True):
        show(path, [view])
    (defect,) = conflicts([survey(path) for path in paths])
    assert (defect.file, defect.key) == (str(paths[2]), "corner_image")
    with pytest.raises(DatasetError, match=r"sweep.hdf5: corner_image: .* within \(0.0, 0.5, 0.5, 1.0\).*, found"):
        open_tasks(paths[0].parent)


def test_a_crop_that_is_none_is_a_defect(sound: Path) -> None:
    show(sound, [CameraView("corner", 8)])
    with h5py.File(sound, "r+") as file:
        env_args = json.loads(str(file["data"].attrs["env_args"]))
        env_args["env_kwargs"]["camera_crops"] = {"corner": [0, 0, 9, 9]}
        file["data"].attrs["env_args"] = json.dumps(env_args)
    (defect,) = survey(sound).defects
    assert (defect.key, defect.message[:33]) == ("env_args", "camera 'corner': expected a crop ")
