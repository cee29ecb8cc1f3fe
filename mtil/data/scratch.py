"""Folders of the cache that go with what they were made for; where that was killed, when the next one is made.

A file in each is locked for as long as its owner lives; the system frees the lock, however that ends.
"""

import contextlib
import fcntl
import os
import platform
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO

from mtil.data.cache import cache_folder
from mtil.errors import OutputError

_LOCK, _UNSEEN = "lock", "new-"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


def scratch_folder(owner: object, prefix: str) -> Path:
    """A new folder of the cache, which goes when its owner does; those whose owners were killed go now.

    Args:
        owner: What it is for.
        prefix: What the names of all such folders begin with.

    Raises:
        OutputError: The cache cannot be written.
    """
    cache = cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob(f"{prefix}*"):
            _remove_if_left(left)
        made = Path(tempfile.mkdtemp(prefix=_UNSEEN + prefix, dir=cache))
        lock = _locked(made / _LOCK)
        folder = made.rename(cache / made.name.removeprefix(_UNSEEN))  # others see it only now that it is locked
    except OSError as error:
        raise OutputError(f"{cache}: cannot be written: {error.strerror or error}") from None
    weakref.finalize(owner, _end, folder, lock, os.getpid())
    return folder


def _locked(path: Path) -> BinaryIO:
    """The file, which tells of the machine; it is gone where it cannot be locked, lest it be taken for free."""
    lock = path.open("xb", buffering=0)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.write("\n".join(_machine()).encode())
    except OSError:
        path.unlink()
    return lock


def _machine() -> set[str]:
    """What this machine is known by: its name, which a container may lose, and its start, which is over one day."""
    boot = _BOOT.read_text().strip() if _BOOT.is_file() else ""
    return {platform.node(), boot} - {""}


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose lock is free; it stays where that is not sure.

    So do folders of other users and without a lock, and of other machines, whose locks a file system may not know.
    """
    with contextlib.suppress(OSError), (folder / _LOCK).open("r+b", buffering=0) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        machine = set(lock.read(1000).decode(errors="replace").split("\n"))
        if machine & _machine() and not folder.is_symlink():
            _remove(folder, lock)


def _remove(folder: Path, lock: BinaryIO) -> None:
    """The lock last, lest a folder stay without one, and when it is closed, since some file systems keep open files."""
    for part in folder.iterdir():
        if part.name != _LOCK:
            shutil.rmtree(part)
    (folder / _LOCK).unlink(missing_ok=True)
    lock.close()
    folder.rmdir()


def _end(folder: Path, lock: BinaryIO, process: int) -> None:
    """Of the owner; a process that was forked from its own only lets go of the lock, which stays the other's."""
    if os.getpid() == process:
        with contextlib.suppress(OSError):
            _remove(folder, lock)
    lock.close()
