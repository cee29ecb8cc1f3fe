"""What a name means, on disk and on the Hub."""

from pathlib import Path

import pytest

from mtil.errors import HubError
from mtil.hub.names import HubName, nowhere, on_hub

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acme/kitchen", HubName("acme/kitchen")),
        ("acme/kitchen@v3.0", HubName("acme/kitchen", "v3.0")),
        ("acme/kitchen@refs/pr/1", HubName("acme/kitchen", "refs/pr/1")),
        ("a-c.m_e/k.i_t-chen", HubName("a-c.m_e/k.i_t-chen")),
    ],
)
def test_names_are_read_and_written(text: str, name: HubName) -> None:
    assert HubName.read(text) == name
    assert str(name) == text
    assert str(Path(text)) == text


@pytest.mark.parametrize(
    "text", ["kitchen", "acme/", "/acme/kitchen", "./a/b", "../a", "a/b/c", "a/b@", "~/a", "a b/c", "a/b@c@d"]
)
def test_what_is_no_name(text: str) -> None:
    assert HubName.find(text) is None
    with pytest.raises(HubError, match=r"expected OWNER/NAME, or OWNER/NAME@REVISION"):
        HubName.read(text)


def test_what_exists_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert on_hub(Path("acme/kitchen")) == HubName("acme/kitchen")
    assert [on_hub(Path(name)) for name in ("data/kitchen", "runs/kitchen")] == [None, None]
    assert on_hub(Path("data/kitchen@v1")) == HubName("data/kitchen", "v1")
    (tmp_path / "acme").mkdir()
    assert on_hub(Path("acme/kitchen")) is None
    assert on_hub(Path("acme/kitchen@main")) == HubName("acme/kitchen", "main")
    (tmp_path / "acme" / "kitchen@main").touch()
    assert on_hub(Path("acme/kitchen@main")) is None
    assert on_hub(tmp_path / "nothing") is None


def test_commits_alone_are_for_ever() -> None:
    assert HubName("acme/kitchen", COMMIT).pinned
    assert not any(HubName("acme/kitchen", revision).pinned for revision in (None, "main", COMMIT[:7], COMMIT + "0"))


def test_what_is_nowhere_is_told_of_both_places() -> None:
    told = [nowhere(Path(text), expected="file", kind="dataset") for text in ("kitchen", "acme/kitchen", "/kitchen")]
    assert told == [
        "kitchen: no such file, and no OWNER/NAME of a dataset on the Hub",
        "acme/kitchen: no such file here; a dataset on the Hub would be acme/kitchen@main",
        "/kitchen: no such file",
    ]
