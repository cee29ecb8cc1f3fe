import h5py
import numpy as np
import pytest

from mtil.data.defects import Extent, Findings
from mtil.data.hdf5.demo import check_demo, read_array


@pytest.mark.parametrize("dtype", ["float16", "float64", "int64", "uint8", "bool"])
def test_states_are_read_as_float32(opened: h5py.File, dtype: str) -> None:
    array = opened.create_dataset("state", data=np.eye(3).astype(dtype))
    assert read_array(array).dtype == np.float32
    assert np.array_equal(read_array(array), np.eye(3))


def test_images_are_read_as_stored(opened: h5py.File) -> None:
    images = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3)
    assert read_array(opened.create_dataset("images", data=images)).tobytes() == images.tobytes()


def test_what_float32_cannot_hold_is_found(opened: h5py.File) -> None:
    group = opened["data/demo_0"]
    assert isinstance(group, h5py.Group)
    del group["obs/proprio"]
    group["obs/proprio"] = np.array([[0.0], [0.0], [1e300], [0.0], [0.0]])
    findings = Findings("file")
    check_demo(group, findings, decompress_images=False)
    assert [defect.message for defect in findings.defects] == ["step 2 is NaN, infinite or beyond float32"]


def test_actions_outside_the_unit_range_are_counted(opened: h5py.File) -> None:
    group = opened["data/demo_0"]
    assert isinstance(group, h5py.Group)
    actions = np.zeros((5, 2), np.float32)
    actions[1] = 1.5, -3
    group["actions"][...] = actions  # pyright: ignore[reportIndexIssue]
    demo = check_demo(group, Findings("file"), decompress_images=False)
    assert (demo.steps, demo.extent) == (5, Extent(outside=2, total=10, extreme=-3.0))
