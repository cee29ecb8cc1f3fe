"""Environments in processes of their own: commands for many slots in, what came of them out.

Slot s is served by worker s modulo the number of workers, which does what it is sent in that order. A worker that dies
or hangs is replaced, and the slots that it served are told that their episodes are lost.
"""

import ctypes
import os
import signal
import time
import traceback
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection, wait

from mtil.errors import MtilError, SimulatorError
from mtil.sim.base import load
from mtil.sim.slot import Command, Reset, Slot, Transition
from mtil.sim.wire import PackedTransitions, pack_commands, pack_transitions, unpack_commands, unpack_transitions

PATIENCE = 60.0  # seconds: longer than making any environment takes, even on a machine that is busy
_BIRTH = 60.0  # seconds more that a worker has to start
_FAREWELL = 10.0  # seconds that a worker has to finish what it does at the end before it is killed
_ONE_THREAD: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
_NOBODY = -1

Messages = dict[int, Command]
_SPAWN = get_context("spawn")


@dataclass(frozen=True)
class Lost:
    """What comes of a command, or of none, where the worker dies or hangs: the slot's episode is to begin again.

    Attributes:
        how: What became of the process, in words.
        suspect: Whether the worker was at work in this slot; where it was in none, all of its slots are suspects.
    """

    how: str
    suspect: bool


class EnvironmentPool:
    """Environments of one suite in spawned processes, which end with the pool's `with` block.

    Args:
        simulator: Name of the suite.
        workers: Number of processes.
        camera: Camera of the films, needed only if there are any.
        image_size: Height and width of the films in pixels.
        patience: Seconds without an answer after which a worker that has started is held to hang.
    """

    def __init__(
        self,
        simulator: str,
        *,
        workers: int,
        camera: str | None = None,
        image_size: int = 240,
        patience: float = PATIENCE,
    ) -> None:
        assert workers >= 1, "an environment pool needs a worker"
        self._birth = (simulator, camera, image_size)
        self._patience = patience
        with _conditions_of_birth():
            self._workers = [_Worker(*self._birth) for _ in range(workers)]

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return any(worker.unanswered for worker in self._workers)

    def send(self, commands: Mapping[int, Command]) -> None:
        """Set slots to work; a worker that is busy does it afterwards, and answers these slots at once."""
        messages: dict[int, Messages] = defaultdict(dict)
        for slot, command in commands.items():
            messages[slot % len(self._workers)][slot] = command
        for index, message in messages.items():
            self._workers[index].send(message)

    def receive(self) -> dict[int, Transition | Lost]:
        """The answers of every worker that is ready, at least one, by slot.

        Raises:
            MtilError: What went wrong in an environment.
        """
        assert self.busy, "nothing was sent that is to be answered"
        answers: dict[int, Transition | Lost] = {}
        while self.busy and not answers:
            busy = [index for index, worker in enumerate(self._workers) if worker.unanswered]
            timeout = min(self._workers[index].last_sign for index in busy) + self._patience - time.monotonic()
            ready = wait([self._workers[index].pipe for index in busy], max(0.0, timeout))
            for index in busy:
                answers |= self._hear(index, ready=self._workers[index].pipe in ready)
        return answers

    def close(self) -> None:
        """End the processes; films that are not finished are lost."""
        for worker in self._workers:
            worker.pipe.close()
        for worker in self._workers:
            worker.end(_FAREWELL)
        self._workers.clear()

    def __enter__(self) -> "EnvironmentPool":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _hear(self, index: int, *, ready: bool) -> dict[int, Transition] | dict[int, Lost]:
        worker = self._workers[index]
        if ready:
            try:
                return worker.receive()
            except (EOFError, OSError):
                return self._replace(index, hung=False)
        if time.monotonic() - worker.last_sign > self._patience:
            return self._replace(index, hung=True)
        return {}

    def _replace(self, index: int, *, hung: bool) -> dict[int, Lost]:
        """A new worker in the place of one that is lost, with all episodes that it ran."""
        worker = self._workers[index]
        worker.pipe.close()
        status = worker.end(0.0 if hung else _FAREWELL)
        how = f"hung for {self._patience:g} s" if hung else f"died ({status})"
        with _conditions_of_birth():
            self._workers[index] = _Worker(*self._birth)
        suspects = {worker.at_work} & worker.episodes or worker.episodes
        return {slot: Lost(how, suspect=slot in suspects) for slot in worker.episodes}


class _Worker:
    """A process, this end of the pipe to it, and what is known of it.

    Attributes:
        pipe: Where commands go and answers come from.
        episodes: Slots with an episode that has begun, or is about to, and has not ended.
        unanswered: Number of messages that it has still to answer.
        last_sign: When it last answered, or was sent something while it had nothing to do, or is to have started; of a
            monotonic clock.
    """

    def __init__(self, simulator: str, camera: str | None, image_size: int) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self.episodes: set[int] = set()
        self.unanswered = 0
        self.last_sign = time.monotonic() + _BIRTH
        self._at_work = _SPAWN.RawValue("q", _NOBODY)
        arguments = (theirs, self._at_work, simulator, camera, image_size)
        self._process = _SPAWN.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        theirs.close()  # theirs alone, so that its end is noticed here

    @property
    def at_work(self) -> int:
        """The slot that it is, or was, at work in; -1: in none."""
        return self._at_work.value

    def send(self, message: Messages) -> None:
        self.episodes.update(slot for slot, command in message.items() if isinstance(command, Reset))
        if not self.unanswered:
            self.last_sign = max(self.last_sign, time.monotonic())
        self.unanswered += 1
        with suppress(OSError):  # it is dead, which the next look for its answers finds out
            self.pipe.send(pack_commands(message))

    def receive(self) -> dict[int, Transition]:
        """The answer to the oldest message.

        Raises:
            MtilError: What it says went wrong.
            EOFError: It is dead.
            OSError: It died in the middle of a word.
        """
        answer = self.pipe.recv()
        if isinstance(answer, MtilError):
            raise answer
        self.unanswered -= 1
        self.last_sign = time.monotonic()
        transitions = unpack_transitions(answer)
        self.episodes.difference_update(slot for slot, transition in transitions.items() if transition.done)
        return transitions

    def end(self, patience: float) -> str:
        """Wait for the process to end, or kill it after some seconds; what it ended with, in words."""
        self._process.join(patience)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        status = self._process.exitcode
        assert status is not None, "a process that has ended has a status"
        return f"exit status {status}" if status >= 0 else f"killed by {signal.Signals(-status).name}"


@contextmanager
def _conditions_of_birth() -> Iterator[None]:
    """What processes started here inherit: no ear for Ctrl-C, which is the parent's to answer; one thread for maths."""
    resource_tracker.ensure_running()  # otherwise the first start does it, and unblocks the signal
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            os.environ.update({name: value} if value is not None else {})
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _serve(pipe: Connection, at_work: ctypes.c_longlong, simulator: str, camera: str | None, image_size: int) -> None:
    """A worker's life: obey until the other end of the pipe is closed, or something goes wrong."""
    slots: dict[int, Slot] = {}
    try:
        suite = load(simulator)
        while (commands := _next(pipe)) is not None:
            answer: dict[int, Transition] = {}
            for slot, command in commands.items():
                at_work.value = slot
                if slot not in slots:
                    slots[slot] = Slot(suite, camera=camera, image_size=image_size)
                answer[slot] = slots[slot].obey(command)
            at_work.value = _NOBODY
            _answer(pipe, pack_transitions(answer))
    except Exception as error:
        _answer(pipe, _explained(error))
    finally:
        for slot in slots.values():
            slot.close()


def _next(pipe: Connection) -> Messages | None:
    try:
        return unpack_commands(pipe.recv())
    except (EOFError, OSError):
        return None


def _answer(pipe: Connection, answer: PackedTransitions | MtilError) -> None:
    with suppress(OSError):  # nobody listens any more: the next look at the pipe ends the worker
        pipe.send(answer)


def _explained(error: Exception) -> MtilError:
    """The error as one of ours, with its traceback, which does not travel between processes, as a note."""
    ours = error if isinstance(error, MtilError) else SimulatorError(f"{type(error).__name__}: {error}")
    ours.add_note(traceback.format_exc())
    return ours
