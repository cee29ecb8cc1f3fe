"""A walk through a Hugging Face dataset: what its episodes are, and everything that is wrong with them.

Legend: T time steps.
"""

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Shaped

from mtil.data.defects import ACTIONS, Extent, Findings, layout_defect, note_decoded, outliers, value_defect
from mtil.data.huggingface.arrays import lists_of, one_each
from mtil.data.huggingface.config import ColumnsConfig
from mtil.data.huggingface.rows import Place, Rows, Steps, images_at, is_picture
from mtil.data.survey import Survey, describe, name_for
from mtil.errors import DatasetError
from mtil.types import FeatureSpec, Task

if TYPE_CHECKING:
    from datasets import Dataset


@dataclass(frozen=True)
class RowsSurvey(Survey):
    """What one task's episodes hold.

    Attributes:
        rows: Where they are; None where these are of no use.
        places: Of each episode.
    """

    rows: Rows | None = None
    places: tuple[Place, ...] = field(default_factory=tuple)


def survey(dataset: "Dataset", columns: ColumnsConfig, path: Path, *, thorough: bool = False) -> list[RowsSurvey]:
    """Walk through a dataset; never raises, whatever is in it.

    Args:
        dataset: Whose rows are steps or episodes.
        columns: Which column is what.
        path: What holds it, for messages.
        thorough: Whether to decode images, which finds damage within them.

    Returns:
        One survey a task; defects and notes of the whole dataset are the first one's.
    """
    findings, found = Findings(str(path)), []
    with findings.guard():
        found = list(_surveys(dataset, columns, path, findings, thorough=thorough))
    if not found:
        return [RowsSurvey(path, Task(path.name or "task"), defects=tuple(findings.defects))]
    first, *others = found
    whole = {"defects": (*findings.defects, *first.defects), "notes": tuple(findings.notes)}
    return [RowsSurvey(**{**vars(first), **whole}), *others]


def _surveys(
    dataset: "Dataset", columns: ColumnsConfig, path: Path, findings: Findings, *, thorough: bool
) -> Iterator[RowsSurvey]:
    names = dataset.column_names
    needed = (columns.action, columns.task, *(columns.observations or ()))
    missing = [name for name in needed if name not in names]
    if missing:
        raise DatasetError(f"expected a column {missing[0]!r}, found {', '.join(names)}")
    dataset.data.table.validate(full=True)  # it may be mapped: offsets that lead astray would kill the process
    rows = Rows.of(dataset, columns, path)
    if isinstance(rows, Steps) and columns.step not in names:
        raise DatasetError(f"expected a column {columns.step!r} beside {columns.episode!r}, found {', '.join(names)}")
    places = _places(rows, findings)
    told = _told(dataset, rows, places, findings)
    sentences = {
        name: tuple(dict.fromkeys(s for n, s in told.values() if n == name and s)) for name, _ in told.values()
    }
    observed = [name for name in columns.observations or names if name not in columns.own]
    seen = [name for name in observed if _is_observation(rows, name, findings, named=columns.observations is not None)]
    for name in sentences:
        own = {episode: places[episode] for episode in told if told[episode][0] == name}
        task = _task(name, sentences[name])
        yield _of_task(task, rows, own, seen, findings, thorough=thorough)


def _places(rows: Rows, findings: Findings) -> dict[int, Place]:
    """Where each episode lies, by its number."""
    columns = rows.columns
    if not isinstance(rows, Steps):
        steps = [len(values) for values in lists_of(rows.column(columns.action))]
        for episode, count in enumerate(steps):
            if not count:
                findings.of(f"row {episode}").add("has no steps", columns.action)
        return {row: Place(row, count) for row, count in enumerate(steps) if count}
    episode, step = (one_each(rows.column(name), name) for name in (columns.episode, columns.step))
    starts = np.flatnonzero(np.diff(episode, prepend=episode[:1] - 1)).tolist()
    found: dict[int, Place] = {}
    for start, end in itertools.pairwise([*starts, len(episode)]):
        number = int(episode[start])
        of_episode = findings.of(f"episode {number}")
        if number in found:
            hint = f"sort the dataset by {columns.episode} and {columns.step}"
            of_episode.add(f"expected its rows in one stretch, found more at row {start}; {hint}")
        elif (wrong := np.flatnonzero(step[start:end] != np.arange(end - start))).size:
            at = int(wrong[0])
            of_episode.add(f"row {start + at}: expected step {at}, found {step[start + at]}", columns.step)
        found.setdefault(number, Place(start, end - start))
    if not found:
        findings.add("holds no episodes")
    return found


def _told(
    dataset: "Dataset", rows: Rows, places: Mapping[int, Place], findings: Findings
) -> dict[int, tuple[str, str | None]]:
    """By episode, what its task is called, and the sentence beside that, if there is a column of these."""
    columns = rows.columns
    tasks = _words(dataset, rows, columns.task)
    beside = columns.instruction in dataset.column_names
    sentences = _words(dataset, rows, columns.instruction) if beside else [None] * len(tasks)
    found: dict[int, tuple[str, str | None]] = {}
    for episode, place in places.items():
        stretch = slice(place.row, place.row + (place.steps if isinstance(rows, Steps) else 1))
        if len(set(tasks[stretch])) > 1:
            one, other = list(dict.fromkeys(tasks[stretch]))[:2]
            message = f"expected one task an episode, found {one!r} and {other!r}"
            findings.of(f"episode {episode}").add(message, columns.task)
        found[episode] = (tasks[place.row], sentences[place.row])
    return found


def _words(dataset: "Dataset", rows: Rows, name: str) -> list[str]:
    labels = getattr(dataset.features[name], "names", None)
    found: list[Any] = rows.column(name).to_pylist()
    if labels is not None:
        found = [labels[each] if isinstance(each, int) and 0 <= each < len(labels) else None for each in found]
    for row, words in enumerate(found):
        if not isinstance(words, str) or not words.strip() or not _is_whole(words):
            raise DatasetError(f"{name}: row {row}: expected a task's sentence or name, found {words!r}")
    return found


def _is_whole(words: str) -> bool:
    """Whether it can be written: JSON, in which names of class labels are, may hold halves of characters."""
    return words.encode(errors="replace").decode() == words


def _is_observation(rows: Rows, name: str, findings: Findings, *, named: bool) -> bool:
    """Whether a column holds a vector or an image a step; notes, or defects of one that was named, tell of others."""
    stored = rows.dataset.data.schema.field(name).type
    nested = _depth(stored) - (not isinstance(rows, Steps))
    leaf = _leaf(stored)
    if (nested in (1, 3) and _is_number(leaf)) or (nested == 0 and is_picture(leaf)):
        return True
    message = "one number or word a step, of shape (T,)" if nested == 0 else f"values of type {stored}"
    if named:
        findings.add(f"expected a vector or an image a step, found {message}", name)
    else:
        findings.note(f"not read: {message}", name)
    return False


def _is_number(stored: pa.DataType) -> bool:
    return pa.types.is_integer(stored) or pa.types.is_floating(stored) or pa.types.is_boolean(stored)


def _depth(stored: pa.DataType | Any) -> int:
    if isinstance(stored, pa.ExtensionType):
        stored = stored.storage_type
    nested = hasattr(stored, "value_type") and not pa.types.is_dictionary(stored)
    return 1 + _depth(stored.value_type) if nested else 0


def _leaf(stored: pa.DataType | Any) -> pa.DataType:
    if isinstance(stored, pa.ExtensionType):
        stored = stored.storage_type
    return _leaf(stored.value_type) if _depth(stored) else stored


def _of_task(
    task: Task,
    rows: Rows,
    places: Mapping[int, Place],
    seen: list[str],
    findings: Findings,
    *,
    thorough: bool,
) -> RowsSurvey:
    own = Findings(findings.file, notes=findings.notes)
    extent, features = Extent(), {}
    columns = rows.columns
    for key, column in {**{key: key for key in seen}, ACTIONS: columns.action}.items():
        specs: dict[str, FeatureSpec] = {}
        for episode, place in places.items():
            of_episode = own.of(f"episode {episode}")
            with of_episode.guard(column):
                spec, reach = _checked(rows, place, key, column, of_episode, thorough=thorough)
                extent += reach
                if spec is not None:
                    specs[str(episode)] = spec
        if specs:
            features[key], odd = outliers(specs, lambda spec: (spec.kind, spec.shape))
            for episode in odd:
                message = f"expected {describe(features[key])}, found {describe(specs[episode])}"
                own.of(f"episode {episode}").add(message, column)
            if features[key].kind == "image":
                size = math.prod(features[key].shape) * sum(place.steps for place in places.values())
                note_decoded(column, size, own, how="pictures, or arrays in a table")
    for column in (columns.reward, columns.done):
        for episode, place in places.items() if column in rows.dataset.column_names else ():
            of_episode = own.of(f"episode {episode}")
            with of_episode.guard(column):
                _check_signal(rows.numbers(column, place), place.steps, column, of_episode)
    extent.note(own)
    return RowsSurvey(
        path=rows.path,
        task=task,
        lengths={f"demo_{number}": place.steps for number, place in enumerate(places.values())},
        features=features,
        env_args={"env_name": task.name, "type": 2, "env_kwargs": {}},
        defects=tuple(own.defects),
        rows=rows,
        places=tuple(places.values()),
    )


def _check_signal(values: np.ndarray, steps: int, column: str, findings: Findings) -> None:
    """A reward, or whether the episode ended: a number a step, or a list of one."""
    if values.shape not in ((steps,), (steps, 1)):
        findings.add(f"expected one number a step, of shape ({steps},), found {values.shape}", column)
    elif defect := value_defect(_float32(values)):
        findings.add(defect, column)


def _float32(values: Shaped[np.ndarray, "T ..."]) -> Float[np.ndarray, "T ..."]:
    """As it is trained on; what that cannot hold becomes infinite."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _task(words: str, sentences: tuple[str, ...]) -> Task:
    """Told by a name, and perhaps sentences beside it; or by a sentence, for which it is named."""
    if not sentences and " " in words.strip():
        return Task(name_for(words), (words,))
    return Task(words.replace("/", "-"), sentences)


def _checked(
    rows: Rows, place: Place, key: str, column: str, findings: Findings, *, thorough: bool
) -> tuple[FeatureSpec | None, Extent]:
    """What an episode's column holds, if it is sound, and how far its actions reach."""
    stored = _leaf(rows.dataset.data.schema.field(column).type)
    if is_picture(stored):
        spec = FeatureSpec(key, rows.image_shape(column, place), "uint8", "image")
        try:
            for _ in images_at(rows, place, column, spec).blocks() if thorough else ():
                pass
        except DatasetError as error:
            findings.add(str(error).removeprefix(f"{rows.path}: {column}: "), column)
        return spec, Extent()
    values = rows.numbers(column, place)
    if defect := layout_defect(key, values.shape, values.dtype):
        findings.add(defect, column)
        return None, Extent()
    if len(values) != place.steps:
        findings.add(f"expected {place.steps} steps, found {len(values)}", column)
    if values.ndim == 4:
        return FeatureSpec(key, values.shape[1:], "uint8", "image"), Extent()
    if defect := value_defect(_float32(values)):
        findings.add(defect, column)
    kind = "action" if key == ACTIONS else "state"
    return FeatureSpec(key, values.shape[1:], str(values.dtype), kind), Extent.of(
        values
    ) if kind == "action" else Extent()
