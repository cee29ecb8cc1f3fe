from pathlib import Path

import pytest

from mtil.files import replacing


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
