"""Outcomes kept while an evaluation runs, so that one which was interrupted goes on where it was.

Beside the result that is to be, each rank writes `.<name>.rank-0-of-2.journal`: a line that says which evaluation this
is, then a line for each episode as it ends. A line that is damaged, as by a kill, is an episode to be run again.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from mtil.errors import OutputError
from mtil.evaluation.metrics import Outcome
from mtil.ranks import ALONE, Rank

_OUTCOME = TypeAdapter(Outcome)


class Journal:
    """One rank's journal, and a look at those of all ranks of an interrupted evaluation, however many they were.

    Args:
        result: The file that the result will be written to.
        evaluation: Digest of everything that decides the outcomes; journals of others are not read.
        rank: Who writes.
    """

    def __init__(self, result: Path, *, evaluation: str, rank: Rank = ALONE) -> None:
        self._result = result
        self._head = json.dumps({"evaluation": evaluation})
        self._path = result.with_name(f".{result.name}.rank-{rank.index}-of-{rank.count}.journal")
        self._file: IO[str] | None = None

    def outcomes(self) -> list[Outcome]:
        """The episodes that have ended, each once.

        Raises:
            OutputError: A journal cannot be read.
        """
        found = (outcome for path in self._all() for outcome in self._read(path))
        return list({(outcome.task, outcome.episode): outcome for outcome in found}.values())

    def add(self, outcome: Outcome) -> None:
        """Note that an episode has ended; it outlives this process.

        Raises:
            OutputError: The journal cannot be written.
        """
        try:
            self._file = self._file or self._opened()
            self._file.write(_OUTCOME.dump_json(outcome).decode() + "\n")
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: the journal cannot be written: {error.strerror}") from None

    def remove(self) -> None:
        """Remove the journals of all ranks: the result stands."""
        self.close()
        for path in self._all():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Keep what there is."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _all(self) -> list[Path]:
        folder, beginning = self._result.parent, f".{self._result.name}.rank-"
        if not folder.is_dir():
            return []
        return sorted(path for path in folder.glob(".*.journal") if path.name.startswith(beginning))

    def _read(self, path: Path) -> Iterator[Outcome]:
        head, *lines = _lines(path)
        if head != self._head:
            return
        for line in lines:
            try:
                yield _OUTCOME.validate_json(line)
            except ValidationError:  # torn
                continue

    def _opened(self) -> IO[str]:
        """The file to append to: its own if it was begun by this evaluation, else a new one."""
        begun = self._path.exists() and _lines(self._path)[0] == self._head
        file = self._path.open("a" if begun else "w", encoding="utf-8")
        file.write("\n" if begun else f"{self._head}\n")  # the last line may be torn; an empty one does no harm
        return file


def _lines(path: Path) -> list[str]:
    """At least one."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError as error:
        raise OutputError(f"{path}: the journal cannot be read: {error.strerror}") from None
