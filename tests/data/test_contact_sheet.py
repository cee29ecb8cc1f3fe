from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from mtil.data.contact_sheet import contact_sheet, write_contact_sheet
from mtil.data.formats import open_tasks
from mtil.errors import DatasetError, OutputError


def test_every_pixel_of_the_frames_is_a_square_on_the_sheet(write: Callable[[str], Path], tmp_path: Path) -> None:
    """The frames of 6 x 8 pixels are enlarged 32 times, and lie where their labels say: tasks below one another."""
    write("push")
    files = open_tasks(write("lift").parent)
    sheet = tmp_path / "sheet.png"
    write_contact_sheet(sheet, files)
    drawn = np.asarray(Image.open(sheet).convert("RGB"))
    for row, file in enumerate(files):
        images = file.read("demo_0", ["camera"]).observations["camera"]
        for column, step in enumerate((0, 2, 4)):
            top, left = 8 + 40 + row * (6 * 32 + 48), 8 + column * (8 * 32 + 8)
            found = drawn[top : top + 6 * 32, left : left + 8 * 32].reshape(6, 32, 8, 32, 3)
            assert (found == images[step][:, None, :, None]).all()


def test_labels_name_task_sentence_key_and_step(write: Callable[[str], Path]) -> None:
    written = [text.get_text() for text in contact_sheet(open_tasks(write("lift"))).texts]
    assert written == ["lift: do lift", "camera, step 0", "camera, step 2", "camera, step 4"]


def test_every_camera_has_its_frames_and_a_task_may_lack_one(write: Callable[[str], Path], tmp_path: Path) -> None:
    lift, push = write("lift"), write("push")
    with h5py.File(lift, "r+") as file:
        for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
            demo["obs/wrist"] = np.full((len(demo["actions"]), 12, 9, 3), 77, np.uint8)
    sheet = contact_sheet(open_tasks(push.parent))
    assert len(sheet.images) == 3 * 2 + 3
    written = [text.get_text() for text in sheet.texts]
    assert written.count("wrist, step 0") == 1
    assert written.count("camera, step 0") == 2


def test_a_dataset_without_images(opposites: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"left\.hdf5: expected images for a contact sheet, found only states: goal"):
        write_contact_sheet(tmp_path / "sheet.png", open_tasks(opposites))
    assert list(tmp_path.iterdir()) == []


def test_other_formats_are_refused(sound: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"expected a picture ending in \.png"):
        write_contact_sheet(tmp_path / "sheet.jpg", open_tasks(sound))
