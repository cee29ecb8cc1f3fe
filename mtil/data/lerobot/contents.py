"""What a LeRobot dataset's own tables say that it holds: tasks, episodes, and where each lies."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from mtil.data.defects import Findings
from mtil.data.lerobot.features import Columns, columns_of
from mtil.data.lerobot.info import EPISODES, SIDECAR, TASKS, Info, Sidecar, SidecarTask, read_info, read_sidecar
from mtil.data.lerobot.tables import numbers, open_parquet, read_table, strings
from mtil.data.survey import name_for
from mtil.errors import DatasetError
from mtil.types import Task

_SENTENCES = ("task", "__index_level_0__")
_PLACES = ("episode_index", "length", "dataset_from_index", "dataset_to_index", "data/chunk_index", "data/file_index")


@dataclass(frozen=True)
class FilmPlace:
    """Where an episode's part of a film is.

    Attributes:
        file: Below the dataset's folder.
        start: Of the episode, in seconds of the film.
    """

    file: str
    start: float


@dataclass(frozen=True)
class EpisodePlace:
    """Where an episode lies.

    Attributes:
        index: Its number.
        length: Steps.
        task: Index of its task.
        file: Below the dataset's folder.
        row: Its first, in that file.
        first: Number of its first frame in the dataset.
        films: By key of the camera.
    """

    index: int
    length: int
    task: int
    file: str
    row: int
    first: int
    films: Mapping[str, FilmPlace]


@dataclass(frozen=True)
class Contents:
    """All that a dataset's tables say.

    Attributes:
        folder: Of the dataset.
        info: What it says of itself.
        columns: What of its features is read.
        told: Of each task, its name, sentences, environment, and the names of its demonstrations.
        episodes: In order.
    """

    folder: Path
    info: Info
    columns: Columns
    told: tuple[SidecarTask, ...]
    episodes: tuple[EpisodePlace, ...]

    def of(self, task: int) -> dict[str, EpisodePlace]:
        """The episodes of a task, by name of the demonstration."""
        return dict(zip(self.told[task].demos, (e for e in self.episodes if e.task == task), strict=True))


def read_contents(folder: Path, findings: Findings) -> Contents | None:
    """Read a dataset's tables; None, with defects found, where they are of no use."""
    before = len(findings.defects)
    info = read_info(folder, findings)
    if info is None:
        return None
    columns = columns_of(info.features, findings)
    sentences: list[str] = []
    with findings.guard(TASKS):
        sentences = _sentences(folder)
    if len(findings.defects) > before:
        return None
    episodes = _episodes(folder, info, columns, sentences, findings)
    sidecar = read_sidecar(folder, findings)
    if len(findings.defects) > before:
        return None
    counts = [sum(episode.task == task for episode in episodes) for task in range(len(sentences))]
    if sidecar is None:
        told = _named(folder, info, sentences, episodes)
    elif defect := _misfit(sidecar, sentences, counts):
        hint = "removed, its tasks are named for their sentences"
        findings.add(f"expected what fits the episodes, found {defect}; {hint}", SIDECAR)
        return None
    else:
        told = sidecar.tasks
    return Contents(folder, info, columns, told, tuple(episodes))


def _sentences(folder: Path) -> list[str]:
    """Each task's, by index; of the newer spelling of the table, or the older."""
    with open_parquet(folder / TASKS) as file:
        present = file.schema_arrow.names
    column = next((name for name in _SENTENCES if name in present), _SENTENCES[0])
    table = read_table(folder / TASKS, ["task_index", column])
    index, found = numbers(table, "task_index"), strings(table, column)
    if sorted(index.tolist()) != list(range(len(found))):
        raise DatasetError(f"task_index: expected each of 0 to {len(found) - 1} once, found {index.tolist()[:8]}")
    if len(set(found)) < len(found):
        raise DatasetError(f"{column}: expected each sentence once")
    return [found[row] for row in np.argsort(index)]


def _episodes(
    folder: Path, info: Info, columns: Columns, sentences: Sequence[str], findings: Findings
) -> list[EpisodePlace]:
    films = [f"videos/{name}" for name in columns.films.values()]
    places = [f"{film}/{part}" for film in films for part in ("chunk_index", "file_index", "from_timestamp")]
    tables: list[pa.Table] = []
    for path in sorted((folder / EPISODES).glob("*/*.parquet")):
        with findings.guard(f"{EPISODES}/{path.parent.name}/{path.name}"):
            tables.append(read_table(path, [*_PLACES, "tasks", *places]))
    with findings.guard(EPISODES):
        if not tables:
            raise DatasetError("expected tables of the episodes, found none that can be read")
        table = pa.concat_tables(tables, promote_options="permissive")
        table = table.take(np.argsort(numbers(table, "episode_index"), kind="stable"))
        found = {name: numbers(table, name) for name in (*_PLACES, *places)}
        _check_order(found, info)
        return _placed(found, table["tasks"].to_pylist(), info, columns, sentences)
    return []


def _check_order(found: Mapping[str, np.ndarray], info: Info) -> None:
    """The episodes follow one another, and are as many and as long as the dataset says."""
    count = len(found["length"])
    if (found["episode_index"] != np.arange(count)).any() or count != info.total_episodes:
        raise DatasetError(f"expected episodes 0 to {info.total_episodes - 1}, each once, found {count} rows")
    if not count or (found["length"] < 1).any():
        raise DatasetError("length: expected episodes of one step or more")
    ends = found["length"].cumsum()
    if (found["dataset_to_index"] != ends).any() or (found["dataset_from_index"] != ends - found["length"]).any():
        raise DatasetError("dataset_from_index, dataset_to_index: expected what the lengths add up to")
    if ends[-1] != info.total_frames:
        raise DatasetError(f"length: expected {info.total_frames} frames in all, found {ends[-1]}")


def _placed(
    found: Mapping[str, np.ndarray], tasks: Sequence[Any], info: Info, columns: Columns, sentences: Sequence[str]
) -> list[EpisodePlace]:
    index = {sentence: task for task, sentence in enumerate(sentences)}
    rows: dict[str, int] = {}
    placed = []
    for episode, told in enumerate(tasks):
        if not isinstance(told, list) or len(told) != 1 or told[0] not in index:
            expected = "expected one task, of those in the table of tasks"
            raise DatasetError(f"tasks: episode {episode}: {expected}, found {str(told)[:80]}")
        one = {name: column[episode].item() for name, column in found.items()}
        file = info.data_file(one["data/chunk_index"], one["data/file_index"])
        row = rows.setdefault(file, 0)
        rows[file] += one["length"]
        films = {key: _film(info, name, one) for key, name in columns.films.items()}
        first = one["dataset_from_index"]
        placed.append(EpisodePlace(episode, one["length"], index[told[0]], file, row, first, films))
    return placed


def _film(info: Info, name: str, place: Mapping[str, Any]) -> FilmPlace:
    place = {part: place[f"videos/{name}/{part}"] for part in ("chunk_index", "file_index", "from_timestamp")}
    if not np.isfinite(place["from_timestamp"]) or place["from_timestamp"] < 0:
        raise DatasetError(f"videos/{name}/from_timestamp: expected seconds, found {place['from_timestamp']}")
    file = info.video_file(name, place["chunk_index"], place["file_index"])
    return FilmPlace(file, float(place["from_timestamp"]))


def _named(
    folder: Path, info: Info, sentences: Sequence[str], episodes: Sequence[EpisodePlace]
) -> tuple[SidecarTask, ...]:
    """What is known of tasks of which there are but sentences."""
    names = [name_for(sentence) for sentence in sentences]
    env_args = {
        "env_name": info.robot_type or folder.name,
        "type": 2,
        "env_kwargs": {"control_freq": info.fps},
    }
    masks = _splits(info, len(episodes))
    told = []
    for task, sentence in enumerate(sentences):
        name = names[task] if names.count(names[task]) == 1 else f"{names[task]}-{task}"
        its = [episode.index for episode in episodes if episode.task == task]
        its_masks = {key: tuple(f"demo_{i}" for i in its if i in chosen) for key, chosen in masks.items()}
        sentences_of = (sentence,) if sentence.strip() else ()
        demos = tuple(f"demo_{i}" for i in its)
        told.append(SidecarTask(name=name, instructions=sentences_of, env_args=env_args, demos=demos, masks=its_masks))
    return tuple(told)


def _splits(info: Info, episodes: int) -> dict[str, range]:
    """Ranges of episodes by name, where there is more than one."""
    found = {name: re.fullmatch(r"(\d+):(\d+)", text) for name, text in info.splits.items()}
    ranges = {name: range(int(m[1]), min(int(m[2]), episodes)) for name, m in found.items() if m}
    return ranges if len(ranges) > 1 else {}


def _misfit(sidecar: Sidecar, sentences: Sequence[str], counts: Sequence[int]) -> str | None:
    """What of the sidecar does not fit the episodes of each task, if anything."""
    if len(sidecar.tasks) != len(counts):
        return f"{len(sidecar.tasks)} tasks where the table has {len(counts)}"
    for told, sentence, count in zip(sidecar.tasks, sentences, counts, strict=True):
        name, known = repr(told.name[:80]), [*told.instructions, told.name]
        if sentence not in [*known, *(f"{each} ({told.name})" for each in known)]:
            return f"{name}, none of whose sentences is {sentence[:80]!r}"
        if len(told.demos) != count or len(set(told.demos)) < count:
            return f"{len(told.demos)} demonstrations of {name} where there are {count} episodes"
        for key, names in told.masks.items():
            if unknown := set(names) - set(told.demos):
                return f"{min(unknown)[:80]!r} in the mask {key[:80]!r} of {name}"
        Task(told.name, told.instructions)
    return None
