"""Options that several commands share, and lists as one word."""

from pathlib import Path
from typing import Annotated

import typer

Workers = Annotated[int | None, typer.Option(min=1, help="Processes; by default one for each core")]


def names_in(names: str | None, option: str = "--tasks") -> list[str] | None:
    """The names of an option that may be left out."""
    if names is None:
        return None
    found = list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))
    if not found:
        raise typer.BadParameter("expected comma-separated names", param_hint=option)
    return found


def paths_in(names: str) -> list[Path]:
    """The runs or files of an argument."""
    found = [Path(name.strip()) for name in names.split(",") if name.strip()]
    if not found:
        raise typer.BadParameter("expected comma-separated runs or files", param_hint="RUN|JSON")
    return found
