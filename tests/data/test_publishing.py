"""Datasets pushed: what the repository holds, and its card."""

from pathlib import Path

import h5py
import pytest
import yaml
from hf_rows import steps_of
from hub_server import HubServer

from mtil.data.conversion import convert
from mtil.data.publishing import push_dataset
from mtil.errors import DatasetError, HubError
from mtil.hub.names import HubName

NAME = HubName("acme/kitchen")


def card(hub: HubServer) -> tuple[dict[str, object], str]:
    """Header and text."""
    _, header, text = hub.repositories["dataset", NAME.repo].files()["README.md"].decode().split("---\n", 2)
    return yaml.safe_load(header), text


def test_the_card_tells_what_is_there(hub: HubServer, mixed: Path) -> None:
    push_dataset(mixed, NAME)
    header, text = card(hub)
    assert header == {"task_categories": ["robotics"], "tags": ["mtil", "imitation-learning", "multi-task"]}
    assert "2 tasks, 12 demonstrations, 90 steps; robomimic-style HDF5 files" in text
    assert "| narrow | 6 | 45 | turn the knob |" in text
    assert "| `actions` | action | 1, 2 |" in text
    assert "mtil inspect acme/kitchen" in text
    assert "license" not in text


def test_lerobot_finds_its_own(hub: HubServer, opposites: Path, tmp_path: Path) -> None:
    """By the tag in the header, by that of the version, and by where the tables are."""
    convert(opposites, tmp_path / "lerobot", layout="lerobot", fps=10.0)
    (tmp_path / "lerobot" / "meta" / "notes.pkl").write_bytes(b"not ours")
    push_dataset(tmp_path / "lerobot", NAME)
    header, text = card(hub)
    assert "LeRobot" in header["tags"]  # pyright: ignore[reportOperatorIssue]
    assert header["configs"] == [{"config_name": "default", "data_files": "data/*/*.parquet"}]
    assert "a LeRobot dataset, v3.0" in text
    repository = hub.repositories["dataset", NAME.repo]
    assert repository.files("v3.0") == repository.files()
    assert "meta/notes.pkl" not in repository.files()


def test_a_card_of_ones_own_is_taken(hub: HubServer, opposites: Path, tmp_path: Path) -> None:
    for file in opposites.iterdir():
        (tmp_path / "own").mkdir(exist_ok=True)
        (tmp_path / "own" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "own" / "README.md").write_text("# Mine\n")
    push_dataset(tmp_path / "own", NAME)
    assert hub.repositories["dataset", NAME.repo].files()["README.md"] == b"# Mine\n"


def test_defects_and_strangers_are_refused(hub: HubServer, opposites: Path, tmp_path: Path) -> None:
    broken = tmp_path / "left.hdf5"
    broken.write_bytes((opposites / "left.hdf5").read_bytes())
    with h5py.File(broken, "r+") as file:
        file["data/demo_0/actions"][2] = float("nan")  # pyright: ignore[reportIndexIssue]
    with pytest.raises(DatasetError, match=r"left\.hdf5: demo_0: actions: step 2 is NaN.*; see `mtil inspect"):
        push_dataset(broken, NAME)
    with pytest.raises(DatasetError, match="acme/nothing: no such file or folder; expected a run, an export or demon"):
        push_dataset(Path("acme/nothing"), NAME)
    assert not hub.asked
    convert(opposites, tmp_path / "lerobot", layout="lerobot", fps=10.0)
    push_dataset(tmp_path / "lerobot", NAME)
    with pytest.raises(HubError, match=r"acme/kitchen: expected a dataset of this format .*, found data/"):
        push_dataset(opposites, NAME)


def test_what_the_hub_is_not_given_as_it_is_is_converted_first(hub: HubServer, tmp_path: Path) -> None:
    steps_of((4, 3), (0, 1)).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(DatasetError, match=r"found another format; convert it first: mtil convert .*saved DIR"):
        push_dataset(tmp_path / "saved", HubName("acme/rows"))
