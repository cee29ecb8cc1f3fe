from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mtil.data.survey import conflicts, survey


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
