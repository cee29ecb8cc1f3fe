"""Folders that go with their owners, however these end."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtil.data import scratch
from mtil.data.scratch import scratch_folder
from mtil.errors import OutputError


class Owner:
    """Of a folder with something in it."""

    def __init__(self) -> None:
        self.folder = scratch_folder(self, "stream-")
        (self.folder / "0").mkdir()
        (self.folder / "0" / "task.hdf5").write_bytes(b"much")


MAKE = """
import os, sys
from mtil.data.scratch import scratch_folder
class Owner: pass
owner = Owner()
folder = scratch_folder(owner, "stream-")
(folder / "0").mkdir()
(folder / "0" / "task.hdf5").write_bytes(b"much")
"""
WAIT = "print(folder, flush=True); sys.stdin.read()"


@pytest.fixture
def other() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that has a folder, until it is ended."""
    command = [sys.executable, "-c", MAKE + WAIT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())
        process.kill()


def kill(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_what_was_killed_leaves_its_folder_to_the_next(other: tuple[subprocess.Popen[str], Path]) -> None:
    process, folder = other
    mine = Owner()
    assert (folder / "0" / "task.hdf5").is_file()  # while it lives
    kill(process)
    assert folder.is_dir()
    another = Owner()
    assert not folder.exists()
    assert mine.folder.is_dir()
    assert another.folder.is_dir()


def test_nothing_is_left_of_one_that_ends(own_cache: Path) -> None:
    subprocess.run([sys.executable, "-c", MAKE], check=True)
    assert not list(own_cache.rglob("*"))


def test_a_forked_process_ends_without_the_folder() -> None:
    """And without the lock, which stays with the owner."""
    fork = """
child = os.fork()
if not child:
    sys.exit()  # as at any exit, finalizers run
os.waitpid(child, 0)
assert (folder / "0" / "task.hdf5").is_file()
other = Owner()
scratch_folder(other, "stream-")
assert (folder / "0" / "task.hdf5").is_file()
"""
    subprocess.run([sys.executable, "-c", MAKE + fork], check=True)


def test_what_a_forked_process_still_uses_stays(own_cache: Path) -> None:
    """Such as a loader of data, where its parent was killed."""
    fork = "\nif not os.fork():\n    sys.stdin.read()\n    os._exit(0)\n" + WAIT
    command = [sys.executable, "-c", MAKE + fork]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        folder = Path(process.stdout.readline().strip())
        kill(process)
        Owner()
        assert folder.is_dir()
        assert process.stdin is not None
        process.stdin.close()
        process.stdout.read()  # until the last that has it ends
    Owner()
    assert not list(own_cache.rglob("*"))


@pytest.mark.parametrize("doubt", ["no lock", "another machine", "another user", "no locks there", "a link"])
def test_in_doubt_a_folder_stays(
    doubt: str, other: tuple[subprocess.Popen[str], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    process, folder = other
    kill(process)
    if doubt == "no lock":  # since it could not be had, say
        (folder / "lock").unlink()
    if doubt == "another machine":
        (folder / "lock").write_text("another\n8f2c")
    if doubt == "a link":
        folder = folder.rename(tmp_path / "elsewhere")
        (tmp_path / "cache" / "stream-linked").symlink_to(folder)
    with monkeypatch.context() as patch:
        if doubt == "no locks there":
            patch.setattr(scratch.fcntl, "flock", refused)
        if doubt == "another user":  # root may open any
            ours = Path.open
            patch.setattr(
                Path,
                "open",
                lambda path, *how, **more: refused(path) if path.parent == folder else ours(path, *how, **more),
            )
        Owner()
    assert (folder / "0" / "task.hdf5").is_file()


def refused(*_: object, **__: object) -> Any:
    raise PermissionError(13, "Permission denied")


def test_without_locks_a_folder_has_none_that_could_be_taken(monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(scratch.fcntl, "flock", refused)
        owner = Owner()
    assert [path.name for path in owner.folder.iterdir()] == ["0"]
    Owner()
    assert owner.folder.is_dir()
    del owner
    assert not list(own_cache.rglob("*"))


def test_a_place_that_cannot_be_written(own_cache: Path) -> None:
    own_cache.write_text("a file")
    with pytest.raises(OutputError, match="cache: cannot be written"):
        Owner()
