"""What can be made again: files kept for the next time, as of decoded images, and folders that serve for a while."""

import fcntl
import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import IO, BinaryIO

from mtil.errors import OutputError
from mtil.files import replacing

_LOCK = "lock"


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


def folder_of(owner: object, *, prefix: str) -> Path:
    """A new folder of the cache, which goes when its owner does; those of killed processes go now.

    That such a folder serves, a lock in it tells. Where the file system has no locks, none but its owner removes it.

    Args:
        owner: What it serves.
        prefix: What the names of all folders of this kind begin with.

    Raises:
        OutputError: The disk is full, or the place forbidden.
    """
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with (cache / f"{prefix}folders.lock").open("a") as turn:
            _try_lock(turn, fcntl.LOCK_EX)
            for folder in cache.glob(f"{prefix}*/"):
                _remove_if_left(folder)
            folder = Path(tempfile.mkdtemp(prefix=prefix, dir=cache))
            lock = (folder / _LOCK).open("w")
            _try_lock(lock, fcntl.LOCK_EX)
    except OSError as error:
        raise OutputError(f"{cache}: cannot be written: {error.strerror or error}") from None
    weakref.finalize(owner, _remove, folder, lock)
    return folder


def _remove(folder: Path, lock: IO[str]) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose owner is no more; in doubt it stays."""
    try:
        with (folder / _LOCK).open("r+") as lock:
            if _try_lock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB):
                shutil.rmtree(folder, ignore_errors=True)
    except OSError:
        return


def _try_lock(file: IO[str], how: int) -> bool:
    """Whether a lock was taken."""
    try:
        fcntl.flock(file, how)
    except OSError:
        return False
    return True
