"""One damaged dataset: which, how, and what may differ when it is read all the same."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fuzzing import arrow_edits, film_edits, hdf5_edits, json_edits, table_edits
from fuzzing.damage import damaged
from fuzzing.readings import Difference
from fuzzing.samples import Sample, chunks_of

KINDS = ("hdf5", "parquet", "json", "film", "arrow")


@dataclass(frozen=True)
class Case:
    """A damaged dataset.

    Attributes:
        sample: Name of what was damaged.
        path: The dataset.
        done: To it, in words.
        may_differ: What nothing guards: "words" of JSON, "values" that no checksum covers, or "nothing".
    """

    sample: str
    path: Path
    done: str
    may_differ: Difference


def make_case(samples: Mapping[str, Sample], kind: str, seed: int, number: int, folder: Path) -> Case:
    """Damage one file of one sample; the same every time.

    Args:
        samples: All of them, by name.
        kind: Of the file.
        seed: Of the run.
        number: Of the case in it.
        folder: Where the damaged dataset is put.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind), number])
    names = [name for name, sample in samples.items() if kind in sample.files]
    name = names[int(rng.integers(len(names)))]
    sample = samples[name]
    relative = str(rng.choice(sample.files[kind]))
    shutil.copytree(sample.folder, folder / name)
    path = folder / name / relative
    done, may_differ = _damage(path, kind, sample, rng) if rng.random() < 0.6 else _edit(path, kind, rng)
    return Case(name, folder / name, f"{relative}: {done}", may_differ)


def _damage(path: Path, kind: str, sample: Sample, rng: np.random.Generator) -> tuple[str, Difference]:
    whole = path.read_bytes()
    content, done, places = damaged(whole, rng)
    path.write_bytes(content)
    if path.suffix == ".json":
        return done, "words"
    if kind == "parquet" and sample.checked:
        return done, "nothing"
    if kind == "hdf5" and len(content) == len(whole):
        guarded = chunks_of(sample.folder / path.name)
        if all(any(place.start in chunk and place[-1] in chunk for chunk in guarded) for place in places if place):
            return done, "nothing"
    return done, "values"


def _edit(path: Path, kind: str, rng: np.random.Generator) -> tuple[str, Difference]:
    if kind == "hdf5":
        return hdf5_edits.edit(path, rng), "words"
    if path.suffix == ".json":
        text, done = json_edits.edited(json.loads(path.read_text()), rng)
        path.write_text(text)
        return done, "words"
    if kind == "arrow":
        content, done, may_differ = arrow_edits.edited(path.read_bytes(), rng)
        path.write_bytes(content)
        return done, may_differ
    content, done = (table_edits if kind == "parquet" else film_edits).edited(path.read_bytes(), rng)
    path.write_bytes(content)
    return done, "nothing" if kind == "parquet" else "values"
