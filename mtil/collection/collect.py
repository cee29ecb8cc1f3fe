"""Demonstrations from scripted experts: one file per task, the same bytes for any number of workers."""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from mtil.collection.attempt import attempt
from mtil.collection.settings import CollectionReport, CollectionSettings, TaskReport, read_report, signed
from mtil.collection.workers import interrupts_held, worker_pool
from mtil.data.hdf5.writing import write_task
from mtil.errors import OutputError, SimulatorError, unknown
from mtil.ranks import ALONE, Rank, cores
from mtil.sim.base import Simulator, load
from mtil.types import Episode, Task

_MAX_ATTEMPTS_PER_EPISODE = 10
_IN_FLIGHT_PER_WORKER = 2
_LOOK_AGAIN = 0.5  # seconds

Progress = Callable[[TaskReport], None]
"""Called with a task's report so far: after each of its attempts, or once if another rank or run made its file."""


def collect(
    settings: CollectionSettings,
    out: Path,
    *,
    tasks: Sequence[str] | None = None,
    workers: int | None = None,
    rank: Rank = ALONE,
    progress: Progress | None = None,
) -> CollectionReport:
    """Collect successful episodes of every task into `<out>/<task>.hdf5`.

    Ended at any moment, it leaves whole files only; called again, it finishes to the same bytes. Ranks that call it
    together share the tasks, and return when every file is there.

    Args:
        settings: What is wanted of each task.
        out: The folder to write to.
        tasks: Names of the tasks; by default all.
        workers: Processes; by default one for each CPU core.
        rank: This process among those that collect into the same folder.
        progress: Told of every attempt.

    Raises:
        SimulatorError: A name does not exist, a task has no expert, or its expert nearly always fails.
        OutputError: A file is there that was collected otherwise, or the disk is full.
    """
    runs = _runs(load(settings.suite), out, tasks, settings)
    done = {run.task.name: run.stored() for run in runs if run.path.exists()}
    report = progress or (lambda _: None)
    for each in done.values():
        report(each)
    missing = [run for run in rank.share(runs) if run.task.name not in done]
    if missing:
        _make_folder(out)
        processes = workers or cores()
        with worker_pool(processes) as pool:
            _complete(missing, pool, processes * _IN_FLIGHT_PER_WORKER, report)
        done |= {run.task.name: run.report() for run in missing}
    for run in (run for run in runs if run.task.name not in done):
        done[run.task.name] = _from_another_rank(run)
        report(done[run.task.name])
    return CollectionReport(tuple(done[run.task.name] for run in runs))


class _TaskRun:
    """The attempts at one task: as many as episodes are wanted, and one more for each that fails.

    These are always the first attempts up to the one that completes the task, in whatever order they finish.
    """

    def __init__(self, *, task: Task, path: Path, env_args: dict[str, Any], settings: CollectionSettings) -> None:
        self.task = task
        self.path = path
        self._env_args = env_args
        self._settings = settings
        self._limit = settings.episodes_per_task * _MAX_ATTEMPTS_PER_EPISODE
        self._begun = 0
        self._failures = 0
        self._lengths: dict[int, int] = {}
        self._episodes: dict[int, Episode] = {}

    @property
    def wants_more(self) -> bool:
        return self._begun < min(self._settings.episodes_per_task + self._failures, self._limit)

    def begin(self, pool: ProcessPoolExecutor) -> tuple[Future[Episode | None], int]:
        """Submit the next attempt: its future, and its position."""
        index, self._begun = self._begun, self._begun + 1
        with interrupts_held():
            future = pool.submit(attempt, self._settings, self.task.name, index)
        return future, index

    def record(self, index: int, episode: Episode | None) -> None:
        """Take an attempt's outcome; the last one writes the file."""
        if episode is None:
            self._failures += 1
        else:
            self._episodes[index] = episode
            self._lengths[index] = len(episode)
        if len(self._lengths) == self._settings.episodes_per_task:
            self._write()
        elif len(self._lengths) + self._failures == self._limit:
            raise SimulatorError(
                f"{self.task.name}: the expert succeeded in {len(self._lengths)} of {self._limit} attempts, but "
                f"{self._settings.episodes_per_task} episodes are wanted ({self._settings})"
            )

    def stored(self) -> TaskReport:
        """What became of the task when its file was written.

        Raises:
            OutputError: The file was collected otherwise.
        """
        return read_report(self.path, self.task.name, self._settings)

    def report(self) -> TaskReport:
        demos = len(self._lengths)
        return TaskReport(self.task.name, demos, demos + self._failures, sum(self._lengths.values()))

    def _write(self) -> None:
        episodes = [self._episodes[index] for index in sorted(self._episodes)]
        env_args = signed(self._env_args, self._settings, attempts=self._begun)
        write_task(self.path, self.task, episodes, env_args=env_args)
        self._episodes.clear()


def _runs(simulator: Simulator, out: Path, names: Sequence[str] | None, settings: CollectionSettings) -> list[_TaskRun]:
    tasks = {task.name: task for task in simulator.tasks()}
    for name in settings.max_steps if isinstance(settings.max_steps, Mapping) else ():
        if name not in tasks:
            raise SimulatorError(f"max_steps: {unknown(f'task of {simulator.name}', name, tasks)}")
    chosen = {name: simulator.env_args(name) for name in (tasks if names is None else names)}
    return [
        _TaskRun(task=tasks[name], path=out / f"{name}.hdf5", env_args=env_args, settings=settings.of(name))
        for name, env_args in chosen.items()
    ]


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made a folder: {error.strerror}") from None


def _from_another_rank(run: _TaskRun) -> TaskReport:
    """Wait for a task's file, which appears whole. (Should its rank fail, the launcher ends this one, too.)"""
    while not run.path.exists():
        time.sleep(_LOOK_AGAIN)
    return run.stored()


def _complete(runs: Sequence[_TaskRun], pool: ProcessPoolExecutor, in_flight: int, report: Progress) -> None:
    """Keep the pool busy until every task has its file, the earlier tasks first."""
    flying: dict[Future[Episode | None], tuple[_TaskRun, int]] = {}
    try:
        while True:
            while len(flying) < in_flight and (run := next((run for run in runs if run.wants_more), None)):
                future, index = run.begin(pool)
                flying[future] = run, index
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                run, index = flying.pop(future)
                run.record(index, future.result())
                report(run.report())
    except BrokenProcessPool:
        raise SimulatorError(
            "a worker process died (killed, or out of memory?); run the same command to go on"
        ) from None
