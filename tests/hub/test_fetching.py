"""What the Hub's own client fetches from a stand-in for the Hub, and what is told where it cannot."""

from pathlib import Path

import pytest
from hub_server import HubServer
from huggingface_hub import constants

from mtil.errors import HubError
from mtil.hub.fetching import fetch
from mtil.hub.names import HubName

NAME = HubName("acme/kitchen")
FILES = {"pots.hdf5": b"pots" * 10_000, "pans.hdf5": b"pans" * 10_000}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_is_asked_for_is_fetched(hub: HubServer) -> None:
    commit = hub.put("dataset", "acme/kitchen", FILES | {"model.pkl": b"pickle", "deep/pots.hdf5": b""})
    folder = fetch(NAME, kind="dataset", files=("*.hdf5",), ignored=("*/*.hdf5",))
    assert folder.name == commit
    assert contents(folder) == FILES
    assert not any("model.pkl" in asked or "deep" in asked for asked in hub.asked)


def test_a_branch_is_looked_up_again_and_a_commit_is_not(hub: HubServer) -> None:
    first = hub.put("dataset", "acme/kitchen", FILES)
    fetch(NAME, kind="dataset", files=("*",))
    second = hub.put("dataset", "acme/kitchen", FILES | {"lids.hdf5": b"lids"})
    assert fetch(NAME, kind="dataset", files=("*",)).name == second
    asked = len(hub.asked)
    assert contents(fetch(HubName(NAME.repo, first), kind="dataset", files=("*",))) == FILES
    assert len(hub.asked) == asked


def test_without_a_network_the_cache_serves(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put("dataset", "acme/kitchen", FILES)
    fetch(NAME, kind="dataset", files=("*",))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert contents(fetch(NAME, kind="dataset", files=("*",))) == FILES
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert contents(fetch(NAME, kind="dataset", files=("*",))) == FILES
    with pytest.raises(HubError, match="acme/other: not in the Hub's local cache, and the Hub cannot be reached"):
        fetch(HubName("acme/other"), kind="dataset", files=("*",))


def test_what_broke_off_is_resumed(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1_000)
    hub.put("dataset", "acme/kitchen", FILES)
    hub.fail_after = 10_000
    assert contents(fetch(NAME, kind="dataset", files=("*",))) == FILES
    assert [asked.split()[-1] for asked in hub.asked if "bytes=" in asked] == ["bytes=10000-"]


def test_a_part_is_not_taken_for_the_whole(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.put("dataset", "acme/kitchen", FILES)
    fetch(NAME, kind="dataset", files=("pots.hdf5",))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="acme/kitchen: only in part in the Hub's local cache, and the Hub cannot be"):
        fetch(NAME, kind="dataset", files=("*",))


@pytest.mark.parametrize(
    ("name", "token", "problem"),
    [
        ("acme/unknown", "writer", "acme/unknown: neither a folder here nor a dataset on the Hub that is open to you"),
        ("acme/unknown", "", "acme/unknown: neither a folder here nor a dataset on the Hub that is open to you"),
        ("acme/private", "", "acme/private: neither a folder here nor a dataset on the Hub that is open to you"),
        ("acme/kitchen@v9", "", "acme/kitchen@v9: a dataset on the Hub, but without such a branch, tag or commit"),
        ("acme/kitchen", "old", r"acme/kitchen: the Hub refuses the access token \(401\): log in with"),
        ("acme/gated", "reader", "acme/gated: gated on the Hub: accept its terms there"),
        ("acme/empty", "", r"acme/empty: a dataset on the Hub, but without any of \*\.hdf5"),
    ],
)
def test_refusals_are_told(
    hub: HubServer, monkeypatch: pytest.MonkeyPatch, name: str, token: str, problem: str
) -> None:
    hub.put("dataset", "acme/kitchen", FILES)
    hub.put("dataset", "acme/private", FILES, private=True)
    hub.put("dataset", "acme/gated", FILES)
    hub.put("dataset", "acme/empty", {"README.md": b""})
    hub.gated.add("acme/gated")
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(HubError, match=problem):
        fetch(HubName.read(name), kind="dataset", files=("*.hdf5",))


def test_a_hub_out_of_order_is_told(hub: HubServer) -> None:
    hub.down = True
    with pytest.raises(HubError, match=r"acme/kitchen: cannot be fetched from the Hub: .*503"):
        fetch(NAME, kind="dataset", files=("*",))
