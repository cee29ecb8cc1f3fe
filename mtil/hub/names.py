"""What a name means: a path that exists, or `owner/name` on the Hub, perhaps `@` a branch, tag or commit."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mtil.errors import HubError

Kind = Literal["model", "dataset"]

_NAME = re.compile(r"(?P<repo>[A-Za-z0-9][\w.-]*/[\w.-]+)(?:@(?P<revision>[^@\s]+))?", re.ASCII)
_OURS = ("data", "runs")  # whoever owns these names on the Hub is not meant by a path that is mistyped, or elsewhere
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repository on the Hub.

    Attributes:
        repo: `owner/name`.
        revision: A branch, tag or commit; None: the main branch as it is now.
    """

    repo: str
    revision: str | None = None

    @staticmethod
    def find(text: str) -> "HubName | None":
        """The name that a text is, if it is one."""
        found = _NAME.fullmatch(text)
        return None if found is None else HubName(**found.groupdict())

    @staticmethod
    def read(text: str) -> "HubName":
        """The name that a text is.

        Raises:
            HubError: It is none.
        """
        found = HubName.find(text)
        if found is None:
            raise HubError(f"{text}: expected OWNER/NAME, or OWNER/NAME@REVISION, as on the Hub")
        return found

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"

    @property
    def pinned(self) -> bool:
        """Whether it means the same for ever."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None


def on_hub(path: Path) -> HubName | None:
    """What a path names on the Hub; None where something on disk is meant.

    What exists wins. Where the first part is a folder here, or one that `mtil` makes, the second is more likely
    mistyped than on the Hub: it is looked up there if a revision is named, too.
    """
    name = HubName.find(str(path))
    if name is None or path.exists():
        return None
    local = path.parent.exists() or path.parent.name in _OURS
    return None if local and name.revision is None else name


def nowhere(path: Path, *, expected: str, kind: Kind) -> str:
    """The sentence for a path that is not there, and names nothing on the Hub.

    Args:
        path: As it was given.
        expected: What could be there.
        kind: What could be on the Hub.
    """
    if HubName.find(str(path)) is not None:
        return f"{path}: no such {expected} here; a {kind} on the Hub would be {path}@main"
    bare = len(path.parts) == 1 and not path.is_absolute()
    return f"{path}: no such {expected}" + (f", and no OWNER/NAME of a {kind} on the Hub" if bare else "")
