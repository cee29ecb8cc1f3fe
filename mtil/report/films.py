"""Films of episodes, made by running them again, and kept beside the result that they belong to."""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

from mtil.errors import CheckpointError, SimulatorError
from mtil.evaluation.metrics import Outcome
from mtil.evaluation.replay import film
from mtil.report.run import Run
from mtil.sim.base import load

Films = Mapping[tuple[str, int], Path]
"""By task and episode."""


def chosen(outcomes: Iterable[Outcome], tasks: Sequence[str], count: int) -> list[Outcome]:
    """At most so many episodes: the first of each task, in the tasks' order, then the second of each, and so on."""
    found = list(outcomes)
    queues = [[each for each in found if each.task == task] for task in tasks]
    return [each for turn in zip_longest(*queues) for each in turn if each is not None][:count]


def films(run: Run, outcomes: Sequence[Outcome]) -> Films:
    """The films of a run's episodes; those that are not there yet are made, if the simulator has a camera.

    Raises:
        CheckpointError: The run's checkpoint is no longer the one that was evaluated.
        MtilError: An episode cannot be filmed.
    """
    folder = run.path / "evaluation" / "films" / run.source.stem
    paths = {(each.task, each.episode): folder / f"{each.task}-{each.episode}.mp4" for each in outcomes}
    absent = [each for each in outcomes if not paths[each.task, each.episode].exists()]
    there = {episode: path for episode, path in paths.items() if path.exists()}
    try:
        if not absent or load(run.result.protocol.suite).camera is None:
            return there
        return there | film(run.result, absent, folder, checkpoint=run.checkpoint)
    except SimulatorError as error:
        raise SimulatorError(f"{error}; --films 0 reports without films") from None


def as_uri(path: Path) -> str:
    """A film as text that a page can hold.

    Raises:
        CheckpointError: It cannot be read.
    """
    try:
        return f"data:video/mp4;base64,{b64encode(path.read_bytes()).decode()}"
    except OSError as error:
        raise CheckpointError(f"{path}: the film cannot be read: {error.strerror}") from None
