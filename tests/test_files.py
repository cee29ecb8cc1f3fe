import json
from pathlib import Path

import pytest

from mtil.errors import OutputError
from mtil.files import check_writable, replacing, write_json


def test_a_block_that_ends_well_puts_the_file_in_place(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    for content in ("old", "new"):
        with replacing(path) as temporary:
            temporary.write_text(content)
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_an_earlier_end_left_behind_is_no_hindrance(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with replacing(path) as temporary:
        name = temporary
        temporary.write_text("first")
    name.write_text("left behind")
    with replacing(path) as temporary:
        temporary.write_text("second")
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_json_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "found.json"
    write_json(path, {"b": [1.5, None], "a": "x"}, what="result")
    assert json.loads(path.read_text()) == {"b": [1.5, None], "a": "x"}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, {"nan": float("nan")}, what="result")
    assert list(json.loads(path.read_text())) == ["b", "a"]
    assert list(path.parent.iterdir()) == [path]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "found.json", tmp_path / "folder"):
        with pytest.raises(OutputError, match=rf"{path.name}: the diagnosis cannot be written"):
            write_json(path, {}, what="diagnosis")
        with pytest.raises(OutputError, match=rf"{path.name}: the result cannot be written"):
            check_writable(path)
    check_writable(tmp_path / "new" / "found.json")
    assert (tmp_path / "new").is_dir()
