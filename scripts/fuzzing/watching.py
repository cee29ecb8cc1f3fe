"""Cases judged in a child process, which may crash, hang or take all memory without harm to the run."""

import faulthandler
import multiprocessing
import os
import re
import resource
import shutil
import tempfile
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Literal

from fuzzing.cases import Case, make_case
from fuzzing.readings import Reading, WrongError, read
from fuzzing.samples import Sample, write_samples

OUTCOMES = ("refused", "right", "told", "unguarded", "library", "failed")
Outcome = Literal["refused", "right", "told", "unguarded", "library", "failed"]

_ENOUGH = 1 << 30  # bytes that reading a few kilobytes may take beyond what a process has taken before
_LIMIT = 1 << 34
_HEAVY = ["datasets", "mtil.data.conversion", "mtil.data.frames", "mtil.data.inspection"]
_FRAME = re.compile(r'File "(.+)", line \d+ in')
_LIBRARY = re.compile(r"site-packages/(h5py|pyarrow|av|PIL|numpy)/")


@dataclass(frozen=True)
class Verdict:
    """What became of a case.

    Attributes:
        outcome: Refused; read right; read right, but other words told; read differently where no checksum is; a crash
            or hang within a library; or any other failure.
        done: What the damage was, or what is wrong.
    """

    outcome: Outcome
    done: str = ""


class Judge:
    """Judges cases one after the other in a process of its own, which is replaced when it dies.

    Args:
        folder: For samples, damaged datasets, and what the process says.
        seed: Of the run.
        timeout: Seconds for one case.
    """

    def __init__(self, folder: Path, *, seed: int, timeout: float) -> None:
        self._folder, self._seed, self._timeout = folder, seed, timeout
        self._samples = write_samples(folder / "samples")
        self._start()

    def judge(self, kind: str, number: int) -> Verdict:
        """The verdict on a case."""
        self._pipe.send((kind, number))
        if not self._pipe.poll(self._timeout + 30):  # the process ends itself, and tells where it was
            return self._replace("hangs")
        try:
            return self._pipe.recv()
        except EOFError:
            self._process.join()
            return self._replace(f"died with exit status {self._process.exitcode}")

    def __enter__(self) -> "Judge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.join()

    def _start(self) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(_HEAVY)  # imported once, whatever dies
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, self._samples, self._seed, self._folder, self._timeout)
        self._process = context.Process(target=_work, args=arguments, daemon=True)
        self._process.start()
        theirs.close()
        if not self._pipe.poll(120) or not self._pipe.recv():
            raise RuntimeError("the watched process does not start")

    def _replace(self, found: str) -> Verdict:
        said = (self._folder / "stderr").read_text(errors="replace").strip()
        stack = _FRAME.findall(said)
        outcome = "library" if stack and _LIBRARY.search(stack[0]) else "failed"
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._start()
        return Verdict(outcome, f"{found}: {said.splitlines()[0] if said else 'no word'}: {' < '.join(stack[:4])}")


def _work(pipe: Connection, samples: Mapping[str, Sample], seed: int, folder: Path, timeout: float) -> None:
    """Judge what is asked for, until nothing is."""
    with (folder / "stderr").open("w") as said:
        os.dup2(said.fileno(), 2)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT, _LIMIT))
    os.environ["MTIL_CACHE"] = str(folder / "cache")
    sound = {name: read(sample.folder) for name, sample in samples.items()}
    pipe.send(all(reading is not None for reading in sound.values()))
    while True:
        kind, number = pipe.recv()
        shutil.rmtree(folder / "cache", ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            case = make_case(samples, kind, seed, number, Path(place))
            before = _memory()
            faulthandler.dump_traceback_later(timeout, exit=True)
            verdict = _judge(case, sound, number)
            faulthandler.cancel_dump_traceback_later()
            if _memory() - before > _ENOUGH:
                verdict = Verdict("failed", f"{case.done}: took {(_memory() - before) / 1e9:.1f} GB")
        pipe.send(verdict)


def _judge(case: Case, sound: Mapping[str, Reading | None], number: int) -> Verdict:
    try:
        found = read(case.path, frames_first=number % 2 == 1)
    except WrongError as error:
        return Verdict("failed", f"{case.done}: {error}")
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)
        own = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(where) if "/mtil/" in f.filename)
        return Verdict("failed", f"{case.done}: {type(error).__name__}: {str(error)[:200]} ({own})")
    reference = sound[case.sample]
    if found is None or reference is None:
        return Verdict("refused", case.done)
    match found.differs(reference):
        case "nothing":
            return Verdict("right", case.done)
        case "words" if case.may_differ != "nothing":
            return Verdict("told", case.done)
        case "values" if case.may_differ == "values":
            return Verdict("unguarded", case.done)
        case differing:
            return Verdict("failed", f"{case.done}: read with other {differing}")


def _memory() -> int:
    """Bytes that this process has taken at most."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
