"""What the Hub's own client makes of a stand-in for the Hub."""

from pathlib import Path

import pytest
from hub_server import START, HubServer
from huggingface_hub import constants

from mtil.errors import HubError
from mtil.hub.names import HubName
from mtil.hub.pushing import CARD, push

OWNED = ("*.hdf5", "*.txt")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A large one and a small one."""
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "pots.hdf5").write_bytes(b"pots" * 10_000)
    (folder / "list.txt").write_text("pots")
    return {path.name: path for path in sorted(folder.iterdir())}


def shared(files: dict[str, Path], name: str = "acme/kitchen", card: str = "# Kitchen\n", **more: object) -> str:
    return push(HubName.read(name), files, card, kind="dataset", owned=OWNED, **more)  # pyright: ignore[reportArgumentType]


def test_a_repository_holds_what_was_pushed(hub: HubServer, files: dict[str, Path]) -> None:
    where = shared(files)
    repository = hub.repositories["dataset", "acme/kitchen"]
    expected = {name: path.read_bytes() for name, path in files.items()}
    assert repository.files() == {".gitattributes": b"", CARD: b"# Kitchen\n"} | expected
    assert not repository.private
    assert where.endswith(repository.branches[START])


def test_pushed_again_it_holds_what_is_there_now(hub: HubServer, files: dict[str, Path]) -> None:
    """In one commit more, and none where nothing has changed; what did not change is not sent again."""
    shared(files)
    before = len(hub.repositories["dataset", "acme/kitchen"].commits)
    shared(files)
    del files["list.txt"]
    shared(files)
    repository = hub.repositories["dataset", "acme/kitchen"]
    assert len(repository.commits) == before + 1
    assert sorted(repository.files()) == [".gitattributes", CARD, "pots.hdf5"]
    assert len([asked for asked in hub.asked if asked.startswith("PUT")]) == 1


def test_what_the_owner_wrote_into_the_header_is_kept(hub: HubServer, files: dict[str, Path]) -> None:
    hub.put("dataset", "acme/kitchen", {CARD: b"---\nlicense: mit\ntags: [old]\n---\n# Old\n"})
    shared(files, card="---\ntags: [new]\n---\n# New\n")
    text = hub.repositories["dataset", "acme/kitchen"].files()[CARD].decode()
    assert "license: mit" in text
    assert "new" in text
    assert "# New" in text
    assert "old" not in text.lower()


def test_private_and_a_branch(hub: HubServer, files: dict[str, Path]) -> None:
    shared(files, "acme/kitchen@draft", private=True, tag="v1")
    shared(files, "acme/kitchen@draft", private=True, tag="v1")
    repository = hub.repositories["dataset", "acme/kitchen"]
    assert repository.private
    assert "pots.hdf5" not in repository.files()
    assert "pots.hdf5" in repository.files("draft")
    assert not repository.tags


def test_a_tag_moves_along(hub: HubServer, files: dict[str, Path]) -> None:
    shared(files, tag="v3.0")
    files["list.txt"].write_text("pots and pans")
    shared(files, tag="v3.0")
    assert hub.repositories["dataset", "acme/kitchen"].files("v3.0")["list.txt"] == b"pots and pans"


@pytest.mark.parametrize(
    ("name", "token", "problem"),
    [
        ("acme/kitchen", "", r"acme/kitchen: the Hub knows no access token that may write \(401\): log in with `hf"),
        ("acme/kitchen", "old", r"acme/kitchen: the Hub knows no access token that may write \(401\): log in with"),
        ("acme/kitchen", "reader", r"acme/kitchen: the access token may not write there \(403\): expected one with"),
        ("acme/taken", "reader", r"acme/taken: the access token may not write there \(403\): expected one with"),
        ("other/kitchen", "writer", r"other/kitchen: the access token may not write there \(403\)"),
        ("acme/taken", "writer", r"acme/taken: expected a dataset of this format or nothing there, found model\.bin;"),
        ("acme/a--b", "writer", "acme/a--b: no name that the Hub allows"),
    ],
)
def test_refusals_are_told(
    hub: HubServer, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch, name: str, token: str, problem: str
) -> None:
    hub.put("dataset", "acme/taken", {"model.bin": b"1" if token == "writer" else b""})
    if token == "reader":
        hub.put("dataset", "acme/taken", {})
    monkeypatch.setenv("HF_TOKEN", token)
    before = {key: len(repository.commits) for key, repository in hub.repositories.items()}
    with pytest.raises(HubError, match=problem):
        shared(files, name)
    assert {key: len(repository.commits) for key, repository in hub.repositories.items()} == before


def test_what_is_public_is_not_taken_for_private(hub: HubServer, files: dict[str, Path]) -> None:
    hub.put("dataset", "acme/kitchen", {})
    with pytest.raises(HubError, match="expected a private dataset, found a public one there"):
        shared(files, private=True)
    assert not hub.repositories["dataset", "acme/kitchen"].files()


def test_no_network(hub: HubServer, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="acme/kitchen: the Hub cannot be reached"):
        shared(files)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(HubError, match="acme/kitchen: the Hub cannot be reached"):
        shared(files)
