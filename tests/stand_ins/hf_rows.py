"""Rows of Hugging Face datasets, a step each or an episode each."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from datasets import ClassLabel, Dataset, Features, Image, List, Value

from mtil.types import Episode

SENTENCES = ("lift the cube", "push it")
LENGTHS = (4, 3, 5, 2, 6, 3, 4, 2, 5, 3)
MIXED = (0, 1) * 5
LIFT, PUSH = "lift-the-cube", "push-it"


def png(image: np.ndarray) -> dict[str, bytes | None]:
    """As `datasets` stores a picture."""
    content = io.BytesIO()
    PIL.Image.fromarray(image).save(content, format="PNG")
    return {"bytes": content.getvalue(), "path": None}


def episode_of(number: int, steps: int) -> Episode:
    rng = np.random.default_rng(number)
    return Episode(
        observations={
            "state": rng.normal(size=(steps, 3)).astype(np.float32),
            "top": rng.integers(0, 256, (steps, 6, 8, 3), np.uint8),
        },
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=np.zeros(steps, np.float32),
        dones=(np.arange(steps) == steps - 1).astype(np.float32),
    )


def steps_of(lengths: Sequence[int], tasks: Sequence[int], *, first: int = 0) -> Dataset:
    """A row a step; episodes of so many steps, each of a task by its number."""
    rows: list[dict[str, Any]] = []
    for number, (steps, task) in enumerate(zip(lengths, tasks, strict=True)):
        episode = episode_of(first + number, steps)
        rows += [
            {
                "episode_index": first + number,
                "frame_index": step,
                "timestamp": step / 10,
                "task": task,
                "action": episode.actions[step],
                "state": episode.observations["state"][step],
                "top": png(episode.observations["top"][step]),
            }
            for step in range(steps)
        ]
    number, vector = Value("int64"), List(Value("float32"))
    features = {"episode_index": number, "frame_index": number, "timestamp": Value("float32")}
    features |= {"task": ClassLabel(names=list(SENTENCES)), "action": vector, "state": vector, "top": Image()}
    return Dataset.from_list(rows, features=Features(features))


def parquet(folder: Path, lengths: Sequence[int], tasks: Sequence[int], *, first: int = 0) -> str:
    folder.mkdir()
    rows = steps_of(lengths, tasks, first=first)
    half = len(rows) // 2
    rows.select(range(half)).to_parquet(str(folder / "0.parquet"))  # an episode may lie in two files
    rows.select(range(half, len(rows))).to_parquet(str(folder / "1.parquet"))
    return str(folder)
