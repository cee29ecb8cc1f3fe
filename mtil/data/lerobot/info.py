"""`meta/info.json` of a LeRobot dataset, and what `mtil` adds beside it in `meta/mtil.json`."""

import re
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, PositiveInt, ValidationError

from mtil.data.defects import Findings
from mtil.errors import DatasetError

VERSION = "v3.0"
INFO = "meta/info.json"
SIDECAR = "meta/mtil.json"
TASKS = "meta/tasks.parquet"
EPISODES = "meta/episodes"
STATISTICS = "meta/stats.json"
CHUNKS_SIZE = 1000
"""Files in a folder."""

_PLACEHOLDER = re.compile(r"\{(\w+)(?::0?(\d+)d)?\}")
_KNOWN = {"video_key", "chunk_index", "file_index"}


class _Content(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)


class Feature(_Content):
    """What a column, or a camera, holds at a time step.

    Attributes:
        dtype: A NumPy name, "image", "video" or "string".
        shape: Of one step.
        names: Of its dimensions, or of the axes of an image.
        info: Of a video, what it is encoded with.
    """

    dtype: str
    shape: tuple[PositiveInt, ...]
    names: Any = None
    info: Any = None


class Info(_Content):
    """What a dataset says of itself.

    Attributes:
        codebase_version: Of the format.
        robot_type: The embodiment, in the recorder's words.
        fps: Steps a second.
        data_path: Where frames lie, by chunk and file.
        video_path: Where videos lie, by camera, chunk and file; null where there are none.
        splits: Ranges "from:to" of episodes, by name.
    """

    codebase_version: str
    robot_type: str | None = None
    total_episodes: NonNegativeInt
    total_frames: NonNegativeInt
    total_tasks: NonNegativeInt
    chunks_size: PositiveInt = CHUNKS_SIZE
    data_files_size_in_mb: PositiveFloat = 100
    video_files_size_in_mb: PositiveFloat = 200
    fps: PositiveFloat
    splits: dict[str, str] = Field(default_factory=dict)
    data_path: str
    video_path: str | None = None
    features: dict[str, Feature]

    def data_file(self, chunk: int, file: int) -> str:
        """Where frames lie, below the dataset's folder.

        Raises:
            DatasetError: The path leads elsewhere.
        """
        return _filled("data_path", self.data_path, chunk_index=chunk, file_index=file)

    def video_file(self, key: str, chunk: int, file: int) -> str:
        """Where a camera's video lies, below the dataset's folder.

        Raises:
            DatasetError: The path leads elsewhere, or there is none.
        """
        if self.video_path is None:
            raise DatasetError(f"video_path: expected a path, since {key!r} is a video, found null")
        return _filled("video_path", self.video_path, video_key=key, chunk_index=chunk, file_index=file)


class SidecarTask(_Content):
    """What a LeRobot dataset has no place for, of one task.

    Attributes:
        name: Of the task.
        instructions: All its sentences.
        env_args: What robomimic needs to know of the environment.
        demos: The names that its demonstrations had, in order of their episodes.
        masks: Names of demonstrations by filter key.
    """

    name: str
    instructions: tuple[str, ...]
    env_args: dict[str, Any]
    demos: tuple[str, ...]
    masks: dict[str, tuple[str, ...]]


class Sidecar(_Content):
    """`meta/mtil.json`: its tasks in the order of their index."""

    tasks: tuple[SidecarTask, ...]


def read_info(folder: Path, findings: Findings) -> Info | None:
    """What a dataset says of itself; None, with defects found, where it cannot be used."""
    info = _read(folder / INFO, Info, findings)
    if info is not None and info.codebase_version != VERSION:
        hint = "LeRobot's own script converts earlier ones"
        findings.add(f"codebase_version: expected {VERSION!r}, found {info.codebase_version!r}; {hint}", INFO)
        return None
    return info


def read_sidecar(folder: Path, findings: Findings) -> Sidecar | None:
    """What `mtil` wrote beside it; None where there is none."""
    path = folder / SIDECAR
    return _read(path, Sidecar, findings) if path.exists() else None


C = TypeVar("C", bound=_Content)


def _read(path: Path, kind: type[C], findings: Findings) -> C | None:
    key = "/".join(path.parts[-2:])
    with findings.guard(key):
        try:
            return kind.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            for each in error.errors():
                where = ".".join(map(str, each["loc"])) or "all of it"
                findings.add(f"{where}: {each['msg'].lower()}, found {str(each['input'])[:40]!r}", key)
    return None


def _filled(name: str, template: str, **values: Any) -> str:
    """A path of `info.json` filled in; of Python's format language no more than what such paths need."""

    def value(found: re.Match[str]) -> str:
        key, width = found.groups()
        if key not in values:
            raise DatasetError(f"{name}: expected {', '.join(sorted(_KNOWN))} in braces, found {template!r}")
        return str(values[key]).zfill(int(width or 0))

    path = _PLACEHOLDER.sub(value, template)
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts or set(path) & set("{}\\\0"):
        raise DatasetError(f"{name}: expected a path below the dataset's folder, found {template!r}")
    return path
