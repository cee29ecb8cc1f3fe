"""Settings are checked, and a file tells which it was collected with."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mtil.collection.settings import CollectionSettings, TaskReport, read_report, signed
from mtil.data.hdf5 import write_task
from mtil.errors import ConfigError, OutputError
from mtil.types import Episode, Task

SETTINGS = CollectionSettings(suite="metaworld-mt10", seed=0, noise=0.1, episodes_per_task=2)


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
    write(path, signed({"env_name": "reach-v3", "type": 2, "env_kwargs": {}}, SETTINGS, attempts=5))
    report = read_report(path, "reach-v3", SETTINGS)
    assert report == TaskReport(task="reach-v3", demos=2, attempts=5, steps=6)
    assert report.failures == 3


def test_other_settings_are_named_beside_the_ones_expected(tmp_path: Path) -> None:
    path = tmp_path / "reach-v3.hdf5"
    write(path, signed({"env_name": "reach-v3", "type": 2, "env_kwargs": {}}, SETTINGS, attempts=5))
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
    write(path, {"env_name": "reach-v3", "type": 2, "env_kwargs": {}})
    with pytest.raises(OutputError, match="found something that was not collected"):
        read_report(path, "reach-v3", SETTINGS)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", -1), ("noise", -0.1), ("noise", float("nan")), ("episodes_per_task", 0)]
)
def test_a_number_out_of_range_is_answered(name: str, value: float) -> None:
    numbers = {"seed": 0, "noise": 0.0, "episodes_per_task": 1} | {name: value}
    with pytest.raises(ConfigError, match=rf"{name}: expected at least \d, found {value}"):
        CollectionSettings(suite="metaworld-mt10", **numbers)  # pyright: ignore[reportArgumentType]


def test_tasks_may_have_limits_of_their_own(tmp_path: Path) -> None:
    settings = replace(SETTINGS, max_steps={"reach-v3": 40, "push-v3": 90})
    assert [settings.longest(task) for task in ("reach-v3", "push-v3", "door-open-v3")] == [40, 90, None]
    assert settings.of("reach-v3") == replace(SETTINGS, max_steps=40)
    assert "max_steps reach-v3: 40 push-v3: 90" in str(settings)
    path = tmp_path / "reach-v3.hdf5"
    write(path, signed({"env_name": "reach-v3", "type": 2, "env_kwargs": {}}, settings.of("reach-v3"), attempts=5))
    assert read_report(path, "reach-v3", replace(SETTINGS, max_steps=40)).attempts == 5
    with pytest.raises(ConfigError, match="max_steps: expected at least 1, found 0"):
        replace(SETTINGS, max_steps={"reach-v3": 0})
