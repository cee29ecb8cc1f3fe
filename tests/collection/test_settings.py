"""A file tells which settings it was collected with."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtil.collection.config import CameraConfig
from mtil.collection.settings import CollectionSettings, TaskReport, read_report, signed
from mtil.data.cameras import decode
from mtil.data.hdf5.writing import write_task
from mtil.errors import OutputError
from mtil.types import Episode, Task

SETTINGS = CollectionSettings(suite="metaworld-mt10", seed=0, noise=0.1, episodes_per_task=2)

ENV_ARGS = {"env_name": "reach-v3", "type": 2, "env_kwargs": {}}


def changed(**asked: Any) -> CollectionSettings:
    return CollectionSettings(**{**SETTINGS.model_dump(), **asked})


def write(path: Path, env_args: dict) -> None:
    episode = Episode(
        observations={"proprio": np.zeros((3, 4), np.float32)},
        actions=np.zeros((3, 4), np.float32),
        rewards=np.zeros(3, np.float32),
        dones=np.arange(3) == 2,
    )
    write_task(path, Task("reach-v3"), [episode, episode], env_args=env_args)


def test_a_signed_file_gives_its_report_back(tmp_path: Path) -> None:
    path = tmp_path / "reach-v3.hdf5"
    write(path, signed(ENV_ARGS, SETTINGS, attempts=5))
    report = read_report(path, "reach-v3", SETTINGS)
    assert report == TaskReport(task="reach-v3", demos=2, attempts=5, steps=6)
    assert report.failures == 3


def test_other_settings_are_named_beside_the_ones_expected(tmp_path: Path) -> None:
    path = tmp_path / "reach-v3.hdf5"
    write(path, signed(ENV_ARGS, SETTINGS, attempts=5))
    other = CollectionSettings(suite="metaworld-mt10", seed=1, noise=0.1, episodes_per_task=2)
    with pytest.raises(OutputError, match=r"reach-v3.hdf5: expected demonstrations with .*seed 1.*, found .*seed 0"):
        read_report(path, "reach-v3", other)


@pytest.mark.parametrize("content", [b"", b"not HDF5"])
def test_a_file_of_another_kind_is_not_taken_for_demonstrations(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "reach-v3.hdf5"
    path.write_bytes(content)
    with pytest.raises(OutputError, match="found something that was not collected; choose another folder"):
        read_report(path, "reach-v3", SETTINGS)


def test_demonstrations_from_elsewhere_are_not_taken_for_ours(tmp_path: Path) -> None:
    path = tmp_path / "reach-v3.hdf5"
    write(path, ENV_ARGS)
    with pytest.raises(OutputError, match="found something that was not collected"):
        read_report(path, "reach-v3", SETTINGS)


def test_a_file_from_before_there_were_cameras_counts_as_collected_without(tmp_path: Path) -> None:
    path = tmp_path / "reach-v3.hdf5"
    env_args = signed(ENV_ARGS, SETTINGS, attempts=5)
    assert env_args["collection"].pop("cameras") == {}
    write(path, env_args)
    assert read_report(path, "reach-v3", SETTINGS).attempts == 5
    with pytest.raises(OutputError, match=r"expected .*cameras corner: size: 8.*, found suite metaworld-mt10, ep"):
        read_report(path, "reach-v3", changed(cameras={"corner": CameraConfig(size=8)}))


def test_cameras_are_signed_and_told(tmp_path: Path) -> None:
    path = tmp_path / "reach-v3.hdf5"
    asked = {"corner": CameraConfig(size=8, crop=(0.0, 0.25, 0.5, 0.75)), "top": CameraConfig(size=8)}
    settings = changed(cameras=asked)
    env_args = signed(ENV_ARGS, settings, attempts=5)
    assert tuple(decode(env_args).values()) == settings.views
    write(path, env_args)
    assert read_report(path, "reach-v3", settings).attempts == 5
    for other in ({"corner": CameraConfig(size=8)}, {**asked, "top": CameraConfig(size=9)}, {"top": asked["top"]}, {}):
        with pytest.raises(OutputError, match="expected demonstrations with"):
            read_report(path, "reach-v3", changed(cameras=other))


def test_tasks_may_have_limits_of_their_own(tmp_path: Path) -> None:
    settings = changed(max_steps={"reach-v3": 40, "push-v3": 90})
    assert [settings.longest(task) for task in ("reach-v3", "push-v3", "door-open-v3")] == [40, 90, None]
    assert settings.of("reach-v3") == changed(max_steps=40)
    assert "max_steps reach-v3: 40 push-v3: 90" in str(settings)
    path = tmp_path / "reach-v3.hdf5"
    write(path, signed(ENV_ARGS, settings.of("reach-v3"), attempts=5))
    assert read_report(path, "reach-v3", changed(max_steps=40)).attempts == 5
