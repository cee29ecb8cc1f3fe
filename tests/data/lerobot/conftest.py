"""Two tasks as HDF5 and as LeRobot datasets of pictures and of films."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mtil.data.conversion import convert
from mtil.data.hdf5.writing import write_task
from mtil.types import Episode, Task

SHAPE = (64, 48, 3)
LENGTHS = {"lift": (5, 7, 3), "push": (4, 6)}
FPS = 10


def picture(step: int, episode: int) -> np.ndarray:
    """Smooth colours, which a codec keeps, another at each step."""
    down, along = np.mgrid[0 : SHAPE[0], 0 : SHAPE[1]]
    channels = [40 * episode + 10 * step + down, 255 - 2 * along - 5 * step, 60 + along + 12 * step]
    return np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def episode(steps: int, seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode(
        observations={
            "height": rng.normal(size=(steps, 1)).astype(np.float32),
            "proprio": rng.normal(size=(steps, 4)).astype(np.float32),
            "top_image": np.stack([picture(step, seed % 3) for step in range(steps)]),
        },
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=rng.normal(size=steps).astype(np.float32),
        dones=np.arange(steps) >= steps - 1 - seed % 2,
    )


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of HDF5 files that holds everything that `mtil` knows of: masks, paraphrases, gaps in the numbers."""
    folder = tmp_path / "source"
    for number, (name, lengths) in enumerate(LENGTHS.items()):
        kwargs = {"control_freq": FPS, "camera_names": ["top"], "camera_heights": 64, "camera_widths": 48}
        write_task(
            folder / f"{name}.hdf5",
            Task(name, (f"{name} it", f"please {name} it")),
            [episode(steps, 10 * number + i) for i, steps in enumerate(lengths)],
            env_args={"env_name": name, "type": 2, "env_kwargs": kwargs},
            masks={"train": [0], "valid": [1]},
            demos=["demo_0", "demo_3", "demo_12"][: len(lengths)],
        )
    return folder


@pytest.fixture
def pictures(source: Path, tmp_path: Path) -> Path:
    """The same as a LeRobot dataset of pictures."""
    convert(source, tmp_path / "pictures", layout="lerobot")
    return tmp_path / "pictures"


@pytest.fixture
def films(source: Path, tmp_path: Path) -> Path:
    """The same as a LeRobot dataset of films."""
    convert(source, tmp_path / "films", layout="lerobot", filmed=True)
    return tmp_path / "films"


EditJson = Callable[[Path, Callable[[Any], Any]], None]
EditTable = Callable[[Path, Callable[[dict[str, list[Any]]], Any]], None]


@pytest.fixture
def edit_json() -> EditJson:
    """Changes what a JSON file holds."""

    def edit(path: Path, change: Callable[[Any], Any]) -> None:
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return edit


@pytest.fixture
def edit_table() -> EditTable:
    """Changes the columns of a parquet file, each a list of values."""

    def edit(path: Path, change: Callable[[dict[str, list[Any]]], Any]) -> None:
        table = pq.read_table(path)
        columns = table.to_pydict()
        change(columns)
        kinds = {field.name: field.type for field in table.schema}
        arrays = {name: pa.array(values, kinds.get(name)) for name, values in columns.items()}
        pq.write_table(pa.table(arrays), path)

    return edit
