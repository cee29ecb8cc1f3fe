from collections.abc import Callable

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


def _virtual(group: h5py.Group, name: str) -> None:
    layout = h5py.VirtualLayout((5, 4), "f4")
    layout[...] = h5py.VirtualSource("nowhere.h5", "x", (5, 4))
    group.create_virtual_dataset(name, layout)


def _half(group: h5py.Group, name: str) -> None:
    group.create_dataset(name, (5, 4), "f4", chunks=(2, 4))[:2] = 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda group, name: group.create_dataset(name, (5, 4), "f4"), "found an array that was never written"),
        (lambda group, name: group.create_dataset(name, (10**13, 4), "f4", chunks=True), "chunks of values, found 0"),
        (_half, "expected 3 chunks of values, found 1: the others were never written"),
        (_virtual, "found a virtual array, which reads as zeros where the files behind it are missing"),
    ],
)
def test_values_that_are_nowhere_are_not_made_up(
    opened: h5py.File, make: Callable[[h5py.Group, str], None], message: str
) -> None:
    group = opened["data/demo_0"]
    assert isinstance(group, h5py.Group)
    del group["obs/proprio"]
    make(group, "obs/proprio")
    findings = Findings("file")
    check_demo(group, findings, decompress_images=False)
    assert findings.defects[0].key == "proprio"
    assert message in findings.defects[0].message


def test_images_in_a_file_that_is_missing_are_found(opened: h5py.File) -> None:
    group = opened["data/demo_0"]
    assert isinstance(group, h5py.Group)
    del group["obs/camera"]
    group.create_dataset("obs/camera", (5, 6, 8, 3), "u1", external=[("nowhere.bin", 0, h5py.h5f.UNLIMITED)])
    findings = Findings("file")
    check_demo(group, findings, decompress_images=True)
    assert "unable to open external raw data file" in findings.defects[0].message
