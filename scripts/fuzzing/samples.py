"""Small sound datasets in every format, as `mtil` writes them and as others do."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import ClassLabel, Dataset, Features, Image, List, Value, disable_progress_bars

from mtil.data.conversion import convert
from mtil.data.hdf5.task_file import open_task
from mtil.data.hdf5.writing import write_task
from mtil.types import Episode, Task

SIZE = 16
_LENGTHS = {"lift": (3, 4), "push": (2, 3)}


@dataclass(frozen=True)
class Sample:
    """A dataset to damage.

    Attributes:
        folder: Which holds all of it.
        files: Those to damage, below it, by kind.
        checked: Whether checksums cover its tables.
    """

    folder: Path
    files: Mapping[str, tuple[str, ...]]
    checked: bool = False


def write_samples(folder: Path) -> dict[str, Sample]:
    """Write every sample; the same bytes each time."""
    plain = folder / "plain"
    for number, (name, lengths) in enumerate(_LENGTHS.items()):
        kwargs = {"control_freq": 10, "camera_names": ["top"], "camera_heights": SIZE, "camera_widths": SIZE}
        write_task(
            plain / f"{name}.hdf5",
            Task(name, (f"{name} it", f"please {name} it")),
            [_episode(steps, 10 * number + i) for i, steps in enumerate(lengths)],
            env_args={"env_name": name, "type": 2, "env_kwargs": kwargs},
            masks={"train": [0], "valid": [1]},
            demos=["demo_0", "demo_3"],
        )
    for name, filmed in (("pictures", False), ("films", True)):
        convert(plain, folder / name, layout="lerobot", filmed=filmed)
    _write_compressed(plain / "lift.hdf5", folder / "gzip/lift.hdf5")
    _write_foreign(folder / "pictures", folder / "foreign")
    _write_saved(plain, folder / "saved")
    return {name: _sample(folder / name) for name in ("plain", "gzip", "pictures", "films", "foreign", "saved")}


def chunks_of(path: Path) -> list[range]:
    """Where the compressed pieces of arrays lie in an HDF5 file: each ends with a checksum of its own."""
    found: list[range] = []

    def note(_: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks:
            pieces = [item.id.get_chunk_info(i) for i in range(item.id.get_num_chunks())]
            found.extend(range(piece.byte_offset, piece.byte_offset + piece.size) for piece in pieces)

    with h5py.File(path, "r") as file:
        file.visititems(note)
    return found


def _sample(folder: Path) -> Sample:
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    if folder.name == "saved":
        return Sample(folder, {"arrow": tuple(names)})
    ends = {"hdf5": ".hdf5", "parquet": ".parquet", "json": ".json", "film": ".mp4"}
    files = {kind: tuple(name for name in names if name.endswith(end)) for kind, end in ends.items()}
    return Sample(folder, {kind: some for kind, some in files.items() if some}, folder.name in ("pictures", "films"))


def _episode(steps: int, seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    down, along = np.mgrid[0:SIZE, 0:SIZE]
    start = 40 * (seed % 3)
    images = [np.stack([start + 10 * t + down, 255 - 5 * along - 5 * t, along + 12 * t], -1) for t in range(steps)]
    return Episode(
        observations={
            "height": rng.normal(size=(steps, 1)).astype(np.float32),
            "proprio": rng.normal(size=(steps, 4)).astype(np.float32),
            "top_image": np.stack(images).clip(0, 255).astype(np.uint8),
        },
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        dones=np.arange(steps) >= steps - 1 - seed % 2,
    )


def _write_compressed(source: Path, target: Path) -> None:
    """The same as h5py users write it: compressed chunks, names of varying length, a link."""
    task = open_task(source)
    target.parent.mkdir(parents=True)
    with h5py.File(source, "r") as old, h5py.File(target, "w") as new:
        data = new.create_group("data")
        for name, value in old["data"].attrs.items():
            data.attrs[name] = value
        for name, episode in zip(task.demos, task.episodes(), strict=True):
            demo = data.create_group(name)
            demo.attrs["num_samples"] = len(episode)
            arrays = {"actions": episode.actions, "rewards": episode.rewards, "dones": episode.dones}
            arrays |= {f"obs/{key}": array for key, array in episode.observations.items()}
            for key, array in arrays.items():
                demo.create_dataset(key, data=array, chunks=(2, *array.shape[1:]), compression="gzip")
            demo["next_obs"] = h5py.SoftLink("obs")
        for name, members in task.masks.items():
            new[f"mask/{name}"] = list(members)


def _write_foreign(source: Path, target: Path) -> None:
    """The same as other programs write it: no checksums, all episodes in one file, nothing of `mtil`."""
    for table in ("data", "meta/episodes"):
        merged = pa.concat_tables([pq.read_table(path) for path in sorted((source / table).rglob("*.parquet"))])
        rows = merged.replace_schema_metadata(None)
        if table == "meta/episodes":
            zeros = pa.array([0] * len(rows), pa.int64())
            rows = rows.select([name for name in rows.column_names if not name.startswith("stats/")])
            rows = rows.set_column(rows.column_names.index("data/file_index"), "data/file_index", zeros)
        (target / table / "chunk-000").mkdir(parents=True)
        pq.write_table(rows, target / table / "chunk-000/file-000.parquet", row_group_size=5)
    tasks = pq.read_table(source / "meta/tasks.parquet").replace_schema_metadata(None)
    pq.write_table(tasks.rename_columns(["task_index", "task"]), target / "meta/tasks.parquet")
    info = json.loads((source / "meta/info.json").read_text())
    (target / "meta/info.json").write_text(json.dumps(info | {"splits": {"train": "0:3", "test": "3:4"}}))


def _write_saved(source: Path, target: Path) -> None:
    """The same as `datasets` saves it, in two files: no checksums but those of pictures, no two columns of one type."""
    tasks = [open_task(path) for path in sorted(source.glob("*.hdf5"))]
    kinds: dict[str, Any] = {"episode_index": Value("int64"), "frame_index": Value("int64"), "top_image": Image()}
    kinds |= {"task": ClassLabel(names=[task.task.name for task in tasks]), "instruction": Value("string")}
    kinds |= {"next.reward": Value("float32"), "next.done": Value("bool")}
    for name, width in (("action", 2), ("height", 1), ("proprio", 4)):
        kinds[name] = List(Value("float32"), length=width)
    rows: list[dict[str, Any]] = []
    episodes = [(label, episode) for label, task in enumerate(tasks) for episode in task.episodes()]
    for number, (label, episode) in enumerate(episodes):
        sentences = tasks[label].task.instructions
        for step in range(len(episode)):
            row = {"episode_index": number, "frame_index": step, "task": label}
            row |= {"instruction": sentences[number % len(sentences)], "action": episode.actions[step]}
            row |= {"next.reward": episode.rewards[step], "next.done": bool(episode.dones[step])}
            row |= {key: values[step] for key, values in episode.observations.items()}
            rows.append(row)
    disable_progress_bars()
    Dataset.from_list(rows, features=Features(kinds)).save_to_disk(str(target), num_shards=2)
