"""Folders of the cache that serve for a while."""

import fcntl
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mtil.data.cache import folder_of
from mtil.errors import OutputError

SCRIPT = """
import signal, sys
from mtil.data.cache import folder_of
class Owner: ...
owner = Owner()
folder = folder_of(owner, prefix="stream-")
(folder / "0").mkdir()
print(folder, flush=True)
if sys.argv[1] == "waits":
    signal.pause()
"""


class Owner:
    pass


def test_a_folder_goes_with_its_owner(own_cache: Path) -> None:
    owner, other = Owner(), Owner()
    folder, beside = (folder_of(each, prefix="stream-") for each in (owner, other))
    assert folder.parent == beside.parent == own_cache
    del owner
    assert not folder.exists()
    assert beside.is_dir()


def test_what_a_killed_process_leaves_goes_later(own_cache: Path) -> None:
    """Not what a living one uses, nor what is of another kind or has no lock."""
    command = [sys.executable, "-c", SCRIPT, "waits"]
    killed, living = (subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        assert killed.stdout is not None
        assert living.stdout is not None
        left, used = Path(killed.stdout.readline().strip()), Path(living.stdout.readline().strip())
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.is_dir()
        for name in ("stream-old", "film-old"):
            (own_cache / name).mkdir()
        (own_cache / "film-old" / "lock").touch()
        owner = Owner()
        folder = folder_of(owner, prefix="stream-")
        assert not left.exists()
        assert all(each.is_dir() for each in (used, folder, own_cache / "stream-old", own_cache / "film-old"))
    finally:
        for process in (killed, living):
            process.kill()
            process.communicate()


def test_it_goes_at_the_end_of_a_process(own_cache: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, "ends"], capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()


def test_without_locks_nothing_is_taken_for_left(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    owners = Owner(), Owner()
    folders = [folder_of(each, prefix="stream-") for each in owners]
    assert all(folder.is_dir() for folder in folders)
    del owners
    assert not any(folder.exists() for folder in folders)


def test_a_cache_that_cannot_be_written(own_cache: Path) -> None:
    own_cache.write_text("a file")
    with pytest.raises(OutputError, match=f"{own_cache}: cannot be written: {os.strerror(17)}"):
        folder_of(Owner(), prefix="stream-")
