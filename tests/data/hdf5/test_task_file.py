import contextlib
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mtil.data.formats import open_tasks
from mtil.data.hdf5.task_file import open_task, task_files
from mtil.data.hdf5.writing import write_task
from mtil.errors import DatasetError, OutputError
from mtil.types import Episode, FeatureSpec, Task

MakeEpisode = Callable[[int], Episode]
TASK = Task("drawer-open", ("open the drawer", "pull the drawer open"))
finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def episodes(draw: st.DrawFn) -> list[Episode]:
    state, action = draw(st.integers(1, 3)), draw(st.integers(1, 3))

    def episode(steps: int) -> Episode:
        def floats(*shape: int) -> np.ndarray:
            return draw(arrays.arrays(np.float32, (steps, *shape), elements=finite))

        image = draw(arrays.arrays(np.uint8, (steps, 2, 3, 3)))
        dones = draw(arrays.arrays(np.bool_, (steps,)))
        return Episode({"state": floats(state), "image": image}, floats(action), floats(), dones)

    return [episode(steps) for steps in draw(st.lists(st.integers(1, 4), min_size=1, max_size=11))]


def same(one: Episode, other: Episode) -> bool:
    pairs = [(one.observations[key], other.observations[key]) for key in one.observations]
    pairs += [(one.actions, other.actions), (one.rewards, other.rewards), (one.dones, other.dones)]
    return one.observations.keys() == other.observations.keys() and all(np.array_equal(a, b) for a, b in pairs)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(written=episodes())
def test_what_is_written_is_read(tmp_path: Path, written: list[Episode]) -> None:
    path = tmp_path / "task.hdf5"
    write_task(path, TASK, written, env_args={}, masks={"all": range(len(written)), "none": []})
    opened = open_task(path)
    names = tuple(f"demo_{i}" for i in range(len(written)))
    assert (opened.path, opened.task, opened.demos) == (path, TASK, names)
    assert opened.lengths == tuple(len(episode) for episode in written)
    assert opened.masks == {"all": names, "none": ()}
    assert all(same(one, other) for one, other in zip(written, opened.episodes(), strict=True))
    assert all(same(one, opened.read(name)) for one, name in zip(written, names, strict=True))


def test_the_same_input_gives_the_same_bytes(write: Callable[[str], Path]) -> None:
    first = write("reach").read_bytes()
    time.sleep(1.1)  # HDF5's timestamps count whole seconds
    assert write("reach").read_bytes() == first


def test_the_file_has_robomimics_layout(sound: Path) -> None:
    with h5py.File(sound, "r") as file:
        data = file["data"]
        assert isinstance(data, h5py.Group)
        assert data.attrs["total"] == 15
        env_args, problem_info = (json.loads(str(data.attrs[name])) for name in ("env_args", "problem_info"))
        assert env_args == {"env_name": "drawer-open", "type": 2, "env_kwargs": {}}
        assert problem_info["language_instruction"] == "do drawer-open"
        assert list(data.keys()) == ["demo_0", "demo_1", "demo_2"]
        found: dict[str, h5py.Dataset] = {}
        data["demo_1"].visititems(  # pyright: ignore[reportAttributeAccessIssue]
            lambda name, item: found.update({name: item} if isinstance(item, h5py.Dataset) else {})
        )
        assert data["demo_1"].attrs["num_samples"] == 6
        assert {name: (array.shape, str(array.dtype)) for name, array in found.items()} == {
            "actions": ((6, 2), "float32"),
            "dones": ((6,), "uint8"),
            "obs/camera": ((6, 6, 8, 3), "uint8"),
            "obs/proprio": ((6, 4), "float32"),
            "rewards": ((6,), "float32"),
            "states": ((6, 1), "float32"),
        }
        assert all(array.chunks is None and array.compression is None for array in found.values())


def test_specs_are_those_of_the_arrays(sound: Path) -> None:
    opened = open_task(sound)
    assert opened.observations == {
        "proprio": FeatureSpec("proprio", (4,), "float32", "state"),
        "camera": FeatureSpec("camera", (6, 8, 3), "uint8", "image"),
    }
    assert opened.action == FeatureSpec("actions", (2,), "float32", "action")


def test_only_the_keys_and_demos_asked_for_are_read(sound: Path) -> None:
    opened = open_task(sound)
    read = list(opened.episodes(["proprio"], ["demo_2", "demo_0"]))
    assert [len(episode) for episode in read] == [4, 5]
    assert all(list(episode.observations) == ["proprio"] for episode in read)


def test_names_that_do_not_exist_are_answered_with_those_that_do(sound: Path) -> None:
    opened = open_task(sound)
    with pytest.raises(DatasetError, match=r"unknown demonstration 'demo_9'.* valid: demo_0, demo_1, demo_2"):
        opened.read("demo_9")
    with pytest.raises(DatasetError, match=r"unknown observation 'propio'; did you mean 'proprio'\?"):
        opened.read("demo_0", ["propio"])


def test_a_file_that_vanished_is_one_line(sound: Path) -> None:
    opened = open_task(sound)
    sound.unlink()
    with pytest.raises(DatasetError, match=r"drawer-open.hdf5: cannot be read: No such file"):
        opened.read("demo_0")


def test_foreign_files_are_read(opened: h5py.File, sound: Path) -> None:
    """Gaps, order, compression, links, float64, filters as variable-length strings, LIBERO's instruction, no masks."""
    data = opened["data"]
    assert isinstance(data, h5py.Group)
    data.move("demo_0", "demo_10")
    data.attrs["problem_info"] = json.dumps({"language_instruction": ['"', "open ", "it", '"']})
    demo = data["demo_10"]
    assert isinstance(demo, h5py.Group)
    wide = np.linspace(-2, 2, 10).reshape(5, 2)
    del demo["actions"], demo["states"], opened["mask"]
    demo.create_dataset("actions", data=wide, compression="gzip")
    demo["next_obs/proprio"] = h5py.SoftLink("/data/demo_10/obs/proprio")
    demo.move("obs/proprio", "kept")
    demo["obs/proprio"] = h5py.SoftLink("/data/demo_10/kept")
    opened["mask/train"] = np.array(["demo_10", "demo_1"], dtype=h5py.string_dtype())
    opened.close()
    renamed = sound.rename(sound.with_name("open_it_demo.hdf5"))

    found = open_task(renamed)
    assert found.task == Task("open_it", ("open it",))
    assert found.demos == ("demo_1", "demo_2", "demo_10")
    assert found.masks == {"train": ("demo_10", "demo_1")}
    assert found.read("demo_10").actions.dtype == np.float32
    assert np.array_equal(found.read("demo_10").actions, wide.astype(np.float32))


def test_a_folder_opens_as_one_dataset_in_order_of_names(write: Callable[[str], Path]) -> None:
    folder = write("sweep").parent
    linked = write("reach").rename(folder.parent / "elsewhere.bin")
    (folder / "push.h5").symlink_to(linked)
    (folder / ".hidden.hdf5").write_text("half a file")
    (folder / "notes.txt").write_text("no demonstrations")
    (folder / "deeper.hdf5").mkdir()
    assert task_files(folder) == [folder / "push.h5", folder / "sweep.hdf5"]
    assert [file.task.name for file in open_tasks(folder)] == ["reach", "sweep"]
    assert task_files(linked) == [linked]


def test_where_no_demonstrations_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="nowhere: no such file or folder"):
        task_files(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"no demonstrations here: expected files named \*.hdf5 or \*.h5"):
        task_files(tmp_path)


def test_opening_tells_the_first_defect_and_how_many_more(opened: h5py.File, sound: Path) -> None:
    for demo in ("demo_0", "demo_1", "demo_2"):
        del opened[f"data/{demo}/rewards"]
    opened.close()
    with pytest.raises(DatasetError) as caught:
        open_task(sound)
    first = f"{sound}: demo_0: rewards: expected an array, missing"
    assert str(caught.value) == f"{first} (and 2 more); see `mtil inspect {sound}`"


def test_unsound_demonstrations_are_not_written(tmp_path: Path, make_episode: MakeEpisode) -> None:
    path = tmp_path / "task.hdf5"
    wider = replace(make_episode(3), actions=np.zeros((3, 5), np.float32))
    with pytest.raises(DatasetError, match="demo_1: actions: expected action of shape"):
        write_task(path, TASK, [make_episode(2), wider], env_args={})
    with pytest.raises(DatasetError, match="holds no demonstrations"):
        write_task(path, TASK, [], env_args={})
    with pytest.raises(DatasetError, match="mask/train: names 'demo_7', which is not in the file"):
        write_task(path, TASK, [make_episode(2)], env_args={}, masks={"train": [7]})
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """Files can grow to 4096 bytes and no further, as on a disk that is full.

    It must end within the test: pytest's own output may go to a file.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, make_episode: MakeEpisode) -> None:
    path = tmp_path / "task.hdf5"
    with small_disk(), pytest.raises(OutputError, match=r"task.hdf5: cannot be written: File too large"):
        write_task(path, TASK, [make_episode(50)], env_args={})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(sound: Path, make_episode: MakeEpisode) -> None:
    before = sound.read_bytes()
    with small_disk(), pytest.raises(OutputError):
        write_task(sound, TASK, [make_episode(50)], env_args={})
    assert sound.read_bytes() == before
    assert os.listdir(sound.parent) == [sound.name]


def test_a_forbidden_place_is_one_line(tmp_path: Path, make_episode: MakeEpisode) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"task.hdf5: cannot be written: (Not a directory|File exists)"):
        write_task(tmp_path / "file" / "task.hdf5", TASK, [make_episode(2)], env_args={})


def test_what_a_kill_left_behind_is_overwritten(sound: Path, write: Callable[[str], Path]) -> None:
    before = sound.read_bytes()
    sound.with_name(f".{sound.name}.partial").write_text("half a file")
    assert write("drawer-open").read_bytes() == before
    assert os.listdir(sound.parent) == [sound.name]
