from pathlib import Path

import pytest
from matplotlib.figure import Figure

from mtil.errors import OutputError
from mtil.pictures import check_suffix, write_figure

BEGINNINGS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".PNG": b"\x89PNG"}


@pytest.mark.parametrize("suffix", BEGINNINGS)
def test_the_suffix_names_the_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "deep" / f"picture{suffix}"
    write_figure(path, Figure(), dpi=50)
    assert path.read_bytes().startswith(BEGINNINGS[suffix])
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("name", ["picture.jpeg", "picture"])
def test_other_formats_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"picture.*: expected a picture ending in \.png, \.svg, \.pdf, found"):
        check_suffix(tmp_path / name)
    with pytest.raises(OutputError, match=r"expected a picture ending in"):
        write_figure(tmp_path / name, Figure(), dpi=50)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"picture\.png: the picture cannot be written"):
        write_figure(tmp_path / "file" / "picture.png", Figure(), dpi=50)
