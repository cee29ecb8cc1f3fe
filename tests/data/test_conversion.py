import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.console import Console

from mtil.data.conversion import Converted, convert, progress_bar
from mtil.data.formats import open_tasks
from mtil.data.hdf5.demo import offset_in_file
from mtil.data.hdf5.survey import survey
from mtil.data.hdf5.task_file import open_task
from mtil.errors import ConfigError, DatasetError, OutputError


def opened(path: Path, mode: str = "r") -> Any:
    """The file. (Whatever type pyright takes an item of it for.)"""
    return h5py.File(path, mode)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def foreign(write: Callable[[str], Path]) -> Path:
    """A folder as LIBERO and others leave it: float64, gzip, chunks, links, and attributes that its readers know."""
    lift, push = write("lift"), write("push")
    with opened(lift, "r+") as file:
        data = file["data"]
        data.attrs["num_demos"] = 3
        data.attrs["bddl_file_name"] = "lift_it.bddl"
        data.attrs["macros_image_convention"] = "opengl"
        for demo in data.values():
            demo.attrs["model_file"] = "<mujoco/>" * 10_000
            demo.attrs["init_state"] = np.linspace(0, 1, 77)
            for key, options in {"camera": {"compression": "gzip"}, "proprio": {"chunks": True}}.items():
                values = demo[f"obs/{key}"][()]
                del demo[f"obs/{key}"]
                values = values / 3 if values.dtype.kind == "f" else values
                demo["obs"].create_dataset(key, data=values.astype("f8") if key == "proprio" else values, **options)
            demo["next_obs/proprio"] = h5py.SoftLink(f"{demo.name}/obs/proprio")
    with opened(push, "r+") as file, opened(push.with_name("elsewhere.bin"), "w") as other:
        file.copy("data/demo_0/obs/camera", other, "camera")
        del file["data/demo_0/obs/camera"]
        file["data/demo_0/obs/camera"] = h5py.ExternalLink("elsewhere.bin", "camera")
    return lift.parent


def test_everything_is_kept_and_every_image_can_be_mapped(foreign: Path, tmp_path: Path) -> None:
    assert convert(foreign, tmp_path / "converted", layout="hdf5") == Converted(2, 0)
    assert sorted(contents(tmp_path / "converted")) == ["lift.hdf5", "push.hdf5"]
    for before, after in zip(open_tasks(foreign), open_tasks(tmp_path / "converted"), strict=True):
        assert (after.task, after.demos, after.lengths, after.masks) == (
            before.task,
            before.demos,
            before.lengths,
            before.masks,
        )
        with opened(before.path) as old, opened(after.path) as new:
            for demo in before.demos:
                for key in ("actions", "rewards", "dones", "states", "obs/proprio", "obs/camera"):
                    array, same = new[f"data/{demo}/{key}"], old[f"data/{demo}/{key}"]
                    assert array.dtype == same.dtype
                    assert array[()].tobytes() == same[()].tobytes()
                    assert offset_in_file(array) is not None
    notes = [note.message for note in survey(tmp_path / "converted" / "lift.hdf5").notes]
    assert not any("compressed" in note for note in notes)


def test_what_other_readers_know_is_kept(foreign: Path, tmp_path: Path) -> None:
    convert(foreign / "lift.hdf5", tmp_path / "new" / "other.h5", layout="hdf5")
    with opened(foreign / "lift.hdf5") as old, opened(tmp_path / "new" / "other.h5") as new:
        for name in ("data", "data/demo_0", "data/demo_2"):
            assert new[name].attrs.keys() == old[name].attrs.keys()
            for key, value in old[name].attrs.items():
                np.testing.assert_array_equal(new[name].attrs[key], value)
        assert json.loads(str(new["data"].attrs["env_args"]))["env_name"] == "lift"
        assert new["data/demo_1/obs/proprio"].dtype == np.float64
        assert new.get("data/demo_1/next_obs/proprio", getlink=True).path == "/data/demo_1/obs/proprio"
        assert new["mask/train"][()].tolist() == [b"demo_0", b"demo_2"]


@pytest.mark.parametrize(
    ("destination", "written"),
    [("new.hdf5", "new.hdf5"), ("deep/new.h5", "deep/new.h5"), ("folder", "folder/lift.hdf5")],
)
def test_where_a_single_file_goes(foreign: Path, tmp_path: Path, destination: str, written: str) -> None:
    convert(foreign / "lift.hdf5", tmp_path / destination, layout="hdf5")
    assert open_task(tmp_path / written).lengths == (5, 6, 4)


def test_run_again_it_keeps_what_is_complete_and_writes_the_rest(foreign: Path, tmp_path: Path) -> None:
    target = tmp_path / "converted"
    convert(foreign, target, layout="hdf5")
    whole = contents(target)
    kept = (target / "lift.hdf5").stat().st_mtime_ns
    (target / "push.hdf5").unlink()
    (target / ".push.hdf5.partial").write_text("half a file")
    assert convert(foreign, target, layout="hdf5") == Converted(1, 1)
    assert contents(target) == whole
    assert (target / "lift.hdf5").stat().st_mtime_ns == kept


KILLED = """
import sys, time
from pathlib import Path
from typing import Any
from mtil.data.conversion import convert

def slowly(name, share, files):
    print(name, flush=True)
    time.sleep(0.2)

convert(Path(sys.argv[1]), Path(sys.argv[2]), layout="hdf5", report=slowly)
"""


def test_killed_it_leaves_whole_files_and_finishes_to_the_same_bytes(foreign: Path, tmp_path: Path) -> None:
    convert(foreign, tmp_path / "whole", layout="hdf5")
    command = [sys.executable, "-c", KILLED, str(foreign), str(tmp_path / "killed")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stdout is not None
        while "push" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGKILL)
    whole = contents(tmp_path / "whole")
    left = contents(tmp_path / "killed")
    assert left.keys() == {"lift.hdf5", ".push.hdf5.partial"}
    assert left["lift.hdf5"] == whole["lift.hdf5"]
    convert(foreign, tmp_path / "killed", layout="hdf5")
    assert contents(tmp_path / "killed") == whole


def test_the_same_input_gives_the_same_bytes(foreign: Path, tmp_path: Path) -> None:
    convert(foreign, tmp_path / "one", layout="hdf5")
    time.sleep(1.1)  # HDF5's timestamps count whole seconds
    convert(foreign, tmp_path / "two", layout="hdf5")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_another_file_in_its_place_is_told_before_anything_is_written(foreign: Path, tmp_path: Path) -> None:
    target = tmp_path / "converted"
    target.mkdir()
    (target / "push.hdf5").write_bytes((foreign / "push.hdf5").read_bytes())
    with pytest.raises(OutputError, match=r"push\.hdf5: exists already, and is not what .*push\.hdf5 would become"):
        convert(foreign, target, layout="hdf5")
    assert list(contents(target)) == ["push.hdf5"]
    (target / "push.hdf5").rename(target / "turn.hdf5")
    with pytest.raises(OutputError, match=r"turn\.hdf5: expected only files that .*dataset has, too"):
        convert(foreign, target, layout="hdf5")
    assert list(contents(target)) == ["turn.hdf5"]


def test_the_source_is_never_the_destination(foreign: Path) -> None:
    before = contents(foreign)
    for source, destination in [(foreign, foreign), (foreign / "lift.hdf5", foreign / "lift.hdf5")]:
        with pytest.raises(OutputError, match=r"lift\.hdf5: expected another place than that of the source"):
            convert(source, destination, layout="hdf5")
    assert contents(foreign) == before


def test_unknown_layouts_and_unsound_sources(foreign: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--to: unknown layout 'hdf'; did you mean 'hdf5'\? valid: hdf5, lerobot"):
        convert(foreign, tmp_path / "converted", layout="hdf")
    with pytest.raises(DatasetError, match="nowhere: no such file or folder"):
        convert(tmp_path / "nowhere", tmp_path / "converted", layout="hdf5")
    with opened(foreign / "push.hdf5", "r+") as file:
        del file["data/demo_0/rewards"]
    with pytest.raises(DatasetError, match=r"push\.hdf5: demo_0: rewards: expected an array, missing"):
        convert(foreign, tmp_path / "converted", layout="hdf5")
    assert not (tmp_path / "converted").exists()


@contextlib.contextmanager
def small_disk() -> Iterator[None]:
    """Files can grow to 4096 bytes and no further, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_nothing_behind(foreign: Path, tmp_path: Path) -> None:
    with small_disk(), pytest.raises(OutputError, match=r"lift\.hdf5: cannot be written: File too large"):
        convert(foreign, tmp_path / "converted", layout="hdf5")
    assert contents(tmp_path / "converted") == {}


def test_progress_tells_files_of_all(foreign: Path, tmp_path: Path) -> None:
    console = Console(record=True, width=100, force_terminal=True)
    with progress_bar(console) as report:
        convert(foreign, tmp_path / "converted", layout="hdf5", report=report)
    assert "2/2 files" in console.export_text()
