"""Files that can be made again, kept for the next time: images decoded once."""

import fcntl
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mtil.errors import OutputError
from mtil.files import replacing


def cache_folder() -> Path:
    """Where they lie: in the environment variable MTIL_CACHE, or in mtil/ of the user's cache folder."""
    if chosen := os.environ.get("MTIL_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mtil"


def digest(*told: object) -> str:
    """A name for what is made of all this."""
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


def cached(name: str, make: Callable[[BinaryIO], None]) -> Path:
    """The file of that name in the cache.

    One process makes it, if it is not there; others wait for it meanwhile.

    Args:
        name: Which tells its contents from all others.
        make: Writes them.

    Raises:
        OutputError: The disk is full, or the place forbidden.
    """
    path = cache_folder() / name
    try:
        if path.exists():
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.exists():
                with replacing(path) as partial, partial.open("wb") as file:
                    make(file)
        return path
    except OSError as error:
        where = "decoded images go into the folder that the environment variable MTIL_CACHE names"
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}; {where}") from None
