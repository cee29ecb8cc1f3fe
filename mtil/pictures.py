"""Pictures put in place whole, in the format that their file's name asks for."""

from pathlib import Path
from typing import TYPE_CHECKING

from mtil.errors import OutputError
from mtil.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")


def check_suffix(path: Path) -> None:
    """Check that a picture of this kind can be drawn.

    Raises:
        OutputError: It cannot.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise OutputError(f"{path}: expected a picture ending in {', '.join(SUFFIXES)}, found {path.suffix or 'none'}")


def write_figure(path: Path, figure: "Figure", *, dpi: int) -> None:
    """Write a picture in the format that its suffix names, replacing the file in one move.

    Raises:
        OutputError: The suffix is of no such format, or the file cannot be written.
    """
    check_suffix(path)
    try:
        with replacing(path) as partial:
            figure.savefig(partial, format=path.suffix.lower()[1:], dpi=dpi)
    except OSError as error:
        raise OutputError(f"{path}: the picture cannot be written: {error.strerror}") from None
