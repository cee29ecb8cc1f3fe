"""Datasets on the Hub, by name wherever a path stands: fetched by the Hub's own client from a stand-in for it."""

import json
from pathlib import Path

import numpy as np
import pytest
from hub_server import HubServer
from huggingface_hub import constants

from mtil.data.conversion import convert
from mtil.data.formats import demo_counts, open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.inspection import inspect
from mtil.data.publishing import push_dataset
from mtil.data.sources import located, pinned
from mtil.data.store import DemoStore
from mtil.errors import DatasetError
from mtil.hub.names import HubName
from mtil.types import Episode, Task

NAME = Path("acme/kitchen")


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeRobot dataset of two tasks, with a film of each."""
    folder = tmp_path_factory.mktemp("films")
    for name in ("lift", "push"):
        episode = Episode(
            observations={"height": np.zeros((3, 1), np.float32), "top_image": np.zeros((3, 64, 48, 3), np.uint8)},
            actions=np.linspace(0, 1, 6, dtype=np.float32).reshape(3, 2),
            rewards=np.zeros(3, np.float32),
            dones=np.arange(3) == 2,
        )
        env_args = {"env_name": name, "type": 2, "env_kwargs": {"control_freq": 10}}
        write_task(folder / "hdf5" / f"{name}.hdf5", Task(name, (f"{name} it",)), [episode], env_args=env_args)
    convert(folder / "hdf5", folder / "lerobot", layout="lerobot", filmed=True)
    return folder / "lerobot"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def pushed(folder: Path, name: str = "acme/kitchen") -> None:
    push_dataset(folder, HubName.read(name))


def test_a_folder_of_files_comes_back_as_it_was(hub: HubServer, opposites: Path) -> None:
    pushed(opposites)
    assert contents(located(NAME)) == contents(opposites)
    found, expected = (DemoStore.open(path) for path in (NAME, opposites))
    assert found.spec == expected.spec
    assert all((found.features[key] == expected.features[key]).all() for key in expected.features)
    assert demo_counts(NAME) == {"left": 6, "right": 6}


def test_a_lerobot_dataset_comes_back_as_it_was(hub: HubServer, films: Path, tmp_path: Path) -> None:
    pushed(films)
    assert contents(located(NAME)) == contents(films)
    assert any(name.startswith("videos/") for name in contents(films))
    found = inspect(NAME)
    assert (found.defects, [summary.task.name for summary in found.tasks]) == ((), ["lift", "push"])
    for path, folder in ((NAME, "found"), (films, "expected")):
        convert(path, tmp_path / folder, layout="hdf5")
    assert contents(tmp_path / "found") == contents(tmp_path / "expected")


def test_a_single_file(hub: HubServer, opposites: Path) -> None:
    pushed(opposites / "left.hdf5")
    assert [task.task.name for task in open_tasks(NAME)] == ["left"]


def test_a_name_is_held_to_a_commit(hub: HubServer, opposites: Path, newcomers: Path) -> None:
    pushed(opposites)
    held = pinned(NAME)
    pushed(newcomers)
    assert [task.task.name for task in open_tasks(held)] == ["left", "right"]
    assert [task.task.name for task in open_tasks(NAME)] == ["around", "right"]
    assert pinned(held) == held
    assert pinned(opposites) == opposites


def test_without_a_network(hub: HubServer, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed(films)
    open_tasks(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert [task.task.name for task in open_tasks(NAME)] == ["lift", "push"]
    with pytest.raises(DatasetError, match="acme/other: not in the Hub's local cache, and the Hub cannot be reached; "):
        open_tasks(Path("acme/other"))


def test_a_fetched_part_is_no_dataset(hub: HubServer, films: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed(films)
    hub.fail_after = 0
    monkeypatch.setattr("huggingface_hub.file_download.http_get", broken)
    with pytest.raises(DatasetError, match="acme/kitchen: cannot be fetched from the Hub: the line is dead"):
        open_tasks(NAME)


def broken(*args: object, **kwargs: object) -> None:
    raise OSError("the line is dead")


def test_what_cannot_be_read_is_not_fetched(hub: HubServer, films: Path) -> None:
    files = contents(films)
    info = json.loads(files["meta/info.json"]) | {"codebase_version": "v2.1"}
    hub.put("dataset", "acme/kitchen", files | {"meta/info.json": json.dumps(info).encode()})
    with pytest.raises(DatasetError, match=r"codebase_version: expected 'v3\.0', found 'v2\.1'"):
        open_tasks(NAME)
    assert not any(name in asked for asked in hub.asked for name in ("data/", "videos/"))


def test_what_is_nowhere(hub: HubServer, opposites: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DatasetError, match=r"acme/unknown: neither a folder here nor a dataset on the Hub .*; give"):
        open_tasks(Path("acme/unknown"))
    with pytest.raises(DatasetError, match="unknown: no such file or folder, and no OWNER/NAME of a dataset"):
        open_tasks(Path("unknown"))
    monkeypatch.chdir(opposites.parent)
    asked = len(hub.asked)
    wrong = f"{opposites.name}/lfet.hdf5"
    with pytest.raises(DatasetError, match=f"{wrong}: no such file or folder here; .* be {wrong}@main"):
        open_tasks(Path(wrong))
    assert len(hub.asked) == asked


def test_counting_fetches_nothing(hub: HubServer, opposites: Path) -> None:
    pushed(opposites)
    with pytest.raises(DatasetError, match="acme/kitchen: not in the Hub's local cache"):
        demo_counts(NAME)
