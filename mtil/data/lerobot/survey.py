"""A walk through a LeRobot dataset: what it holds, and everything that is wrong with it.

Legend: N rows of a file.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped
from rich.console import Console
from rich.progress import track

from mtil.data import cameras
from mtil.data.defects import ACTIONS, Extent, Findings, note_decoded, value_defect
from mtil.data.lerobot.contents import Contents, EpisodePlace, read_contents
from mtil.data.lerobot.features import INDICES, TIMESTAMP
from mtil.data.lerobot.images import film_times, images_at, missing_frame
from mtil.data.lerobot.info import INFO
from mtil.data.lerobot.tables import numbers, open_parquet, read_table, stored_kind
from mtil.data.survey import Survey
from mtil.errors import DatasetError
from mtil.types import Task

_LATE = 1e-4
"""Seconds that a frame's timestamp may differ from what its number says, as LeRobot has it."""


@dataclass(frozen=True)
class LeRobotSurvey(Survey):
    """What one task's episodes of a LeRobot dataset hold.

    Attributes:
        contents: Of the dataset; None where it is of no use.
        position: Index of the task.
    """

    contents: Contents | None = None
    position: int = 0


def survey(folder: Path, *, thorough: bool = False) -> list[LeRobotSurvey]:
    """Walk through a dataset; never raises, whatever state it is in.

    Args:
        folder: Which holds `meta/info.json`.
        thorough: Whether to decode images, which finds damage within them.

    Returns:
        One survey a task; defects and notes of the whole dataset are the first one's.
    """
    findings = Findings(str(folder))
    contents = None
    with findings.guard():
        contents = read_contents(folder, findings)
    if contents is None:
        return [LeRobotSurvey(folder, Task(folder.resolve().name or "task"), defects=tuple(findings.defects))]
    for stray in sorted(folder.glob("*.h*5")):
        findings.add("expected no HDF5 files beside a LeRobot dataset: move it, or them, elsewhere", stray.name)
    _check_frames(contents, findings)
    _check_films(contents, findings)
    if thorough:
        _decode(contents, findings)
    surveys = [_survey(contents, task, findings) for task in range(len(contents.told)) if contents.told[task].demos]
    return [replace(surveys[0], defects=tuple(findings.defects), notes=tuple(findings.notes)), *surveys[1:]]


def _survey(contents: Contents, task: int, findings: Findings) -> LeRobotSurvey:
    told = contents.told[task]
    views = {}
    with findings.guard("env_args"):
        views = cameras.decode(told.env_args)
    return LeRobotSurvey(
        path=contents.folder,
        task=Task(told.name, told.instructions),
        lengths={name: place.length for name, place in contents.of(task).items()},
        features={key: cameras.taken_by(spec, views) for key, spec in contents.columns.specs.items()},
        masks=dict(told.masks),
        env_args=told.env_args,
        contents=contents,
        position=task,
    )


def _check_frames(contents: Contents, findings: Findings) -> None:
    """Every file of frames: that it holds the rows it should, and sound states and actions in them."""
    extent = Extent()
    for file, its in itertools.groupby(sorted(contents.episodes, key=lambda e: (e.file, e.row)), lambda e: e.file):
        with findings.guard(file):
            episodes, signals = list(its), contents.columns.signals
            _check_columns(contents, file)
            table = read_table(
                contents.folder / file, [*INDICES, TIMESTAMP, *signals, *contents.columns.states.values()]
            )
            _check_rows(table, episodes, contents.info.fps)
            for name in signals:
                _check_values(numbers(table, name), name, episodes, findings)
            for key, name in contents.columns.states.items():
                values = _float32(numbers(table, name, contents.columns.specs[key].shape[0]))
                _check_values(values, name, episodes, findings)
                extent += Extent.of(values) if key == ACTIONS else Extent()
    extent.note(findings)
    _note_decoded(contents, findings)


def _check_columns(contents: Contents, file: str) -> None:
    """The columns of a file are those of which `info.json` tells, and what it says that they are.

    Raises:
        DatasetError: They are not.
    """
    with open_parquet(contents.folder / file) as opened:
        columns = {column.name: column.type for column in opened.schema_arrow}
    features = contents.info.features
    for name in columns:
        if name not in features and name not in (*INDICES, TIMESTAMP):
            raise DatasetError(f"expected the columns that {INFO} tells of, found {name!r}, too")
    for name in (*contents.columns.signals, *contents.columns.states.values()):
        expected = np.dtype(features[name].dtype)
        if name in columns and stored_kind(columns[name]) != expected.kind.replace("u", "i"):
            raise DatasetError(f"{name}: expected {expected} as {INFO} says, found {columns[name]}")


def _note_decoded(contents: Contents, findings: Findings) -> None:
    steps = sum(episode.length for episode in contents.episodes)
    for key, name in (contents.columns.pictures | contents.columns.films).items():
        how = "film" if key in contents.columns.films else "pictures"
        note_decoded(name, steps * math.prod(contents.columns.specs[key].shape), findings, how=how)


def _check_rows(table: pa.Table, episodes: Sequence[EpisodePlace], fps: float) -> None:
    """The rows of a file are those of its episodes, one after the other.

    Raises:
        DatasetError: They are not.
    """
    lengths = [episode.length for episode in episodes]
    if len(table) != sum(lengths):
        raise DatasetError(f"expected {sum(lengths)} rows, as many as its episodes have steps, found {len(table)}")
    frame = np.concatenate([np.arange(length) for length in lengths])
    expected = {
        "episode_index": np.repeat([episode.index for episode in episodes], lengths),
        "frame_index": frame,
        "index": np.repeat([episode.first for episode in episodes], lengths) + frame,
        "task_index": np.repeat([episode.task for episode in episodes], lengths),
    }
    for name, values in expected.items():
        _check_equal(name, numbers(table, name), values, 0.0)
    _check_equal(TIMESTAMP, numbers(table, TIMESTAMP), frame / fps, _LATE)


def _check_equal(name: str, found: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    wrong = ~(np.abs(found - expected) <= tolerance)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DatasetError(f"{name}: row {row}: expected {expected[row]:g}, found {found[row]:g}")


def _float32(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _check_values(
    values: Shaped[np.ndarray, "N ..."], name: str, episodes: Sequence[EpisodePlace], findings: Findings
) -> None:
    if value_defect(values) is None:
        return
    for episode in episodes:
        if defect := value_defect(values[episode.row : episode.row + episode.length]):
            findings.of(f"episode {episode.index}").add(defect, name)


def _check_films(contents: Contents, findings: Findings) -> None:
    """Every film: that it has a frame for each step."""
    for key in contents.columns.films:
        for file in dict.fromkeys(episode.films[key].file for episode in contents.episodes):
            with findings.guard(file):
                times = film_times(contents.folder / file)
                its = [episode for episode in contents.episodes if episode.films[key].file == file]
                _check_spans(its, key, contents.info.fps)
                for episode in its:
                    start = episode.films[key].start
                    step = missing_frame(times, start, episode.length, contents.info.fps)
                    if step is not None:
                        message = f"step {step} has no frame in the film, which lasts {times.max(initial=0):.4f} s"
                        findings.of(f"episode {episode.index}").add(message, file)


def _check_spans(episodes: Sequence[EpisodePlace], key: str, fps: float) -> None:
    """No two episodes are in the same part of a film.

    Raises:
        DatasetError: Some are.
    """
    ordered = sorted(episodes, key=lambda episode: episode.films[key].start)
    for one, following in itertools.pairwise(ordered):
        if one.films[key].start + (one.length - 0.5) / fps > following.films[key].start:
            expected = "expected a part of the film for each episode alone"
            raise DatasetError(f"{expected}, found that those of {one.index} and {following.index} overlap")


def _decode(contents: Contents, findings: Findings) -> None:
    """All images, once."""
    for key in (*contents.columns.pictures, *contents.columns.films):
        console = Console(stderr=True)
        for episode in track(contents.episodes, f"decoding {key}", console=console, transient=True):
            with findings.of(f"episode {episode.index}").guard(key):
                for _ in images_at(contents, episode, key).blocks():
                    pass
