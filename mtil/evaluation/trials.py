"""The episodes of an evaluation, before they are run."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from mtil.errors import SimulatorError
from mtil.evaluation.conditioning import Descriptors
from mtil.evaluation.rollout import Recording, Trial
from mtil.sim.base import Stream, placement
from mtil.types import DatasetSpec


def trials_of(
    tasks: Sequence[str],
    descriptors: Descriptors,
    *,
    episodes: Iterable[int],
    seed: int,
    stream: Stream = "evaluation",
    spec: DatasetSpec | None = None,
) -> list[Trial]:
    """One trial for each task and episode, which depends on nothing but these, the seed and the task's descriptors.

    Args:
        tasks: Their names.
        descriptors: What tells each, in turns: episode j is told by the j-th, cyclically.
        episodes: Positions among a task's episodes.
        seed: Seed of the placements.
        stream: What the placements are drawn from.
        spec: Tells what the simulator calls a task, and has to show; None: tasks by their names, and states alone.

    Raises:
        SimulatorError: A task has no descriptor.
        DatasetError: A task is of no embodiment.
    """
    for task in tasks:
        if not descriptors.get(task):
            raise SimulatorError(f"task {task!r}: no descriptor tells the policy of it; told: {', '.join(descriptors)}")
    episodes = list(episodes)
    called = {task: task if spec is None else spec.simulated(task) for task in tasks}
    views = {task: () if spec is None else spec.views(task) for task in tasks}
    return [
        Trial(
            task=task,
            episode=episode,
            placement=placement(stream, seed, called[task], episode),
            told=descriptors[task][episode % len(descriptors[task])].words,
            z=descriptors[task][episode % len(descriptors[task])].z,
            called=None if called[task] == task else called[task],
            views=views[task],
        )
        for task in tasks
        for episode in episodes
    ]


def first_filmed(trials: Iterable[Trial], recording: Recording | None) -> list[Trial]:
    """The same trials, each task's first episode on film: `<task>.mp4`."""
    return [
        replace(trial, video=recording.folder / f"{trial.task}.mp4") if recording and trial.episode == 0 else trial
        for trial in trials
    ]


def all_filmed(trials: Iterable[Trial], recording: Recording | None) -> list[Trial]:
    """The same trials, every episode on film: `<task>-<episode>.mp4`."""
    return [
        replace(trial, video=recording.folder / f"{trial.task}-{trial.episode}.mp4") if recording else trial
        for trial in trials
    ]
