import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import Result

from mtil.data.hdf5.task_file import open_task
from mtil.errors import ConfigError, OutputError
from mtil.types import CameraView

Invoke = Callable[..., Result]
Shell = Callable[..., tuple[int, str, str, str]]


def test_inspecting_a_sound_dataset(opposites: Path, invoke: Invoke) -> None:
    result = invoke("inspect", opposites)
    assert result.exit_code == 0
    assert "no defects" in result.output
    found = invoke("inspect", opposites, "--json")
    assert found.exit_code == 0
    assert json.loads(found.output) == {
        "tasks": [
            {"task": side, "instructions": [f"go {side}", f"move to the {side}"], "demos": 6, "steps": 45}
            for side in ("left", "right")
        ],
        "features": {
            "actions": {"shape": [2], "dtype": "float32"},
            "goal": {"shape": [2], "dtype": "float32"},
            "proprio": {"shape": [3], "dtype": "float32"},
        },
        "defects": [],
    }


def test_inspecting_a_broken_dataset_lists_every_defect(
    opposites: Path, tmp_path: Path, invoke: Invoke, shell: Shell
) -> None:
    paths = [tmp_path / file.name for file in sorted(opposites.iterdir())]
    for path in paths:
        path.write_bytes((opposites / path.name).read_bytes())
    with h5py.File(paths[0], "r+") as file:
        file["data/demo_0/actions"][2] = float("nan")  # pyright: ignore[reportIndexIssue]
        del file["data/demo_4"].attrs["num_samples"]
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    result = invoke("inspect", tmp_path, "--json")
    assert result.exit_code == 1
    defects = json.loads(result.output)["defects"]
    assert [set(defect) for defect in defects] == [{"file", "demo", "key", "message"}] * 3
    assert [(Path(defect["file"]).name, defect["demo"]) for defect in defects] == [
        ("left.hdf5", "demo_0"),
        ("left.hdf5", "demo_4"),
        ("right.hdf5", None),
    ]
    status, out, error, _ = shell("inspect", tmp_path)
    assert (status, error) == (1, "")
    assert out.count("defect: ") == 3
    assert "3 defects" in out


def test_converting_and_looking_at_the_images(opposites: Path, tmp_path: Path, invoke: Invoke) -> None:
    path, converted, sheet = tmp_path / "left.hdf5", tmp_path / "converted", tmp_path / "sheet.png"
    path.write_bytes((opposites / "left.hdf5").read_bytes())
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
            images = np.zeros((len(demo["actions"]), 8, 8, 3), np.uint8)
            demo["obs"].create_dataset("corner_image", data=images, compression="gzip")
    assert "chunked or compressed: training on them decodes" in invoke("inspect", path).output
    assert f"{converted}: 1 files written, 0 kept" in invoke("convert", path, converted, "--to", "hdf5").output
    result = invoke("inspect", converted, "--contact-sheet", sheet)
    assert result.exit_code == 0
    assert "compressed" not in result.output
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_collecting_images(tmp_path: Path, invoke: Invoke) -> None:
    arguments = ["metaworld-mt10", "--out", tmp_path, "--tasks", "drawer-close-v3", "--episodes-per-task", "1"]
    cameras = ["--camera", "corner, topview", "--image-size", "12", "--crop", "corner=0.2,0,0.8,0.6"]
    found = invoke("collect", *arguments, "--workers", "1", *cameras)
    assert found.exit_code == 0, found.exception
    features = open_task(tmp_path / "drawer-close-v3.hdf5").observations
    assert {feature.camera for feature in features.values()} == {
        None,
        CameraView("corner", 12, (0.2, 0.0, 0.8, 0.6)),
        CameraView("topview", 12),
    }
    wrong = invoke("collect", *arguments, *cameras, "--crop", "top=0,0,1,1")
    assert isinstance(wrong.exception, ConfigError)
    assert str(wrong.exception).startswith("crop 'top=0,0,1,1': unknown camera 'top'; did you mean 'topview'")


def test_collecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> None:
    arguments = ["metaworld-mt10", "--out", tmp_path, "--tasks", " drawer-close-v3,", "--episodes-per-task", "1"]
    first = invoke("collect", *arguments, "--workers", "1")
    assert first.exit_code == 0, first.exception
    (path,) = tmp_path.iterdir()
    assert open_task(path).task.name == "drawer-close-v3"
    assert len(open_task(path).demos) == 1
    before = path.stat().st_mtime_ns
    assert invoke("collect", *arguments).exit_code == 0
    assert path.stat().st_mtime_ns == before
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in (("0", "2 ranks share the 1 tasks"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        found = invoke("collect", *arguments)
        assert found.output.startswith(said)
        assert bool(found.output) == bool(said)
    other = invoke("collect", *arguments, "--seed", "1")
    with pytest.raises(
        OutputError, match=r"drawer-close-v3\.hdf5: expected demonstrations with .*seed 1.*found .*seed 0"
    ):
        raise other.exception or AssertionError("no error")
