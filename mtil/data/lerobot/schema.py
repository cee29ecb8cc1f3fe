"""What is written into the tables of a LeRobot dataset.

Legend: T steps of an episode, D dimensions.
"""

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import UInt8
from PIL import Image

from mtil.data.defects import ACTIONS
from mtil.data.lerobot import film, statistics
from mtil.data.lerobot.features import DONE, INDICES, REWARD, TIMESTAMP, name_of
from mtil.data.lerobot.info import CHUNKS_SIZE, VERSION
from mtil.data.task_demos import TaskDemos
from mtil.types import Episode, FeatureSpec, Task

DATA_SIZE, FILM_SIZE = 100, 200
"""Megabytes after which another file is begun."""

_PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def features(specs: Mapping[str, FeatureSpec], fps: float, *, filmed: bool) -> dict[str, dict[str, Any]]:
    """`features` of `info.json`."""
    found: dict[str, dict[str, Any]] = {}
    for spec in specs.values():
        feature = {"dtype": "float32", "shape": list(spec.shape), "names": None}
        if spec.kind == "image":
            feature |= {"dtype": "video" if filmed else "image", "names": ["height", "width", "channels"]}
            feature |= {"info": film.described(spec.shape, fps)} if filmed else {}
        found[name_of(spec)] = feature
    scalars = {REWARD: "float32", DONE: "bool", TIMESTAMP: "float32"} | dict.fromkeys(INDICES, "int64")
    return found | {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in scalars.items()}


def info(found: Mapping[str, Any], fps: float, *, tasks: int, episodes: int, frames: int) -> dict[str, Any]:
    """All of `info.json`."""
    videos = any(feature["dtype"] == "video" for feature in found.values())
    return {
        "codebase_version": VERSION,
        "robot_type": None,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_SIZE,
        "video_files_size_in_mb": FILM_SIZE,
        "fps": int(fps) if fps == int(fps) else fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4" if videos else None,
        "features": dict(found),
    }


def sidecar(tasks: Sequence[TaskDemos]) -> dict[str, Any]:
    """All of `mtil.json`."""
    return {
        "tasks": [
            {
                "name": each.task.name,
                "instructions": list(each.task.instructions),
                "env_args": dict(each.env_args),
                "demos": list(each.demos),
                "masks": {key: list(names) for key, names in each.masks.items()},
            }
            for each in tasks
        ]
    }


def sentences(tasks: Sequence[Task]) -> list[str]:
    """What each task is called in a table that knows one sentence of each, and none twice."""
    told = [task.instructions[0] if task.instructions else task.name for task in tasks]
    return [
        sentence if told.count(sentence) == 1 else f"{sentence} ({task.name})"
        for sentence, task in zip(told, tasks, strict=True)
    ]


def task_table(told: Sequence[str]) -> pa.Table:
    """The table of tasks as pandas writes it, whose index is the sentence."""
    column = {"name": None, "field_name": "__index_level_0__", "pandas_type": "unicode", "numpy_type": "object"}
    pandas = {
        "index_columns": ["__index_level_0__"],
        "column_indexes": [],
        "columns": [
            {"name": "task_index", "field_name": "task_index", "pandas_type": "int64", "numpy_type": "int64"},
            column,
        ],
    }
    table = pa.table({"task_index": pa.array(range(len(told)), pa.int64()), "__index_level_0__": pa.array(told)})
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})


def frames(found: Mapping[str, Mapping[str, Any]]) -> pa.Schema:
    """Columns of the tables of frames, which the Hub's viewer and `datasets` know by what is told beside."""
    columns = {name: _column(feature) for name, feature in found.items() if feature["dtype"] != "video"}
    told = {"info": {"features": {name: shown for name, (_, shown) in columns.items()}}}
    return pa.schema([(name, kind) for name, (kind, _) in columns.items()], {"huggingface": json.dumps(told)})


def arrays(
    specs: Mapping[str, FeatureSpec], episode: Episode, fps: float, *, number: int, first: int, task: int
) -> dict[str, np.ndarray]:
    """Everything that is told of an episode's steps, (T, ...), by name of the feature.

    Args:
        specs: Observations and action by key.
        episode: The episode.
        fps: Steps a second.
        number: Of the episode.
        first: Number of its first frame in the dataset.
        task: Index of its task.
    """
    frame = np.arange(len(episode))
    values = {**episode.observations, ACTIONS: episode.actions}
    return {name_of(spec): values[key] for key, spec in specs.items()} | {
        REWARD: np.asarray(episode.rewards, np.float32),
        DONE: np.not_equal(episode.dones, 0),
        TIMESTAMP: (frame / fps).astype(np.float32),
        "episode_index": np.full(len(episode), number),
        "frame_index": frame,
        "index": first + frame,
        "task_index": np.full(len(episode), task),
    }


def frame_table(values: Mapping[str, np.ndarray], columns: pa.Schema) -> pa.Table:
    """An episode's rows."""
    return pa.table([_stored(values[field.name], field.type) for field in columns], schema=columns)


def episode_row(
    values: Mapping[str, np.ndarray], sentence: str, number: int, first: int, task: int, where: Mapping[str, int]
) -> dict[str, Any]:
    """What the table of episodes tells of one, films excepted.

    Args:
        values: Its steps.
        sentence: Its task.
        number: Of the episode.
        first: Number of its first frame in the dataset.
        task: Index of its task, and so of the table.
        where: Its file of frames.
    """
    length = len(values["index"])
    chunk, file = divmod(task, CHUNKS_SIZE)
    row: dict[str, Any] = {"episode_index": number, "tasks": [sentence], "length": length}
    row |= {f"data/{name}": index for name, index in where.items()}
    row |= {"dataset_from_index": first, "dataset_to_index": first + length}
    row |= {"meta/episodes/chunk_index": chunk, "meta/episodes/file_index": file}
    for name, each in values.items():
        found = statistics.of_images(each) if each.ndim == 4 else statistics.of_values(each.reshape(length, -1))
        row |= {f"stats/{name}/{statistic}": value.tolist() for statistic, value in found.items()}
    return row


def film_span(name: str, where: Mapping[str, int], frame: int, length: int, fps: float) -> dict[str, Any]:
    """What the table of episodes tells of an episode's part of a film.

    Args:
        name: Of the camera.
        where: The film.
        frame: The episode's first in it.
        length: Of the episode.
        fps: Frames a second.
    """
    span = {"from_timestamp": frame / fps, "to_timestamp": (frame + length) / fps}
    return {f"videos/{name}/{part}": value for part, value in {**where, **span}.items()}


def numbered(task: int) -> str:
    """Where the table of a task's episodes lies among those of all."""
    chunk, file = divmod(task, CHUNKS_SIZE)
    return f"chunk-{chunk:03d}/file-{file:03d}.parquet"


def _column(feature: Mapping[str, Any]) -> tuple[pa.DataType, dict[str, Any]]:
    """The type of a column, and what `datasets` calls it."""
    if feature["dtype"] == "image":
        return _PICTURE, {"_type": "Image"}
    kind = pa.bool_() if feature["dtype"] == "bool" else pa.from_numpy_dtype(feature["dtype"])
    value = {"dtype": feature["dtype"], "_type": "Value"}
    width = feature["shape"][0]
    if width == 1:
        return kind, value
    return pa.list_(kind, width), {"feature": value, "length": width, "_type": "List"}


def _stored(values: np.ndarray, kind: pa.DataType) -> pa.Array:
    if kind == _PICTURE:
        pictures = [{"bytes": _png(image), "path": f"frame-{step:06d}.png"} for step, image in enumerate(values)]
        return pa.array(pictures, kind)
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1), kind.value_type), type=kind)
    return pa.array(values.reshape(-1), kind)


def _png(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    return content.getvalue()
