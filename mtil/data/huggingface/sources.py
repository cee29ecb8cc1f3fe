"""Streams by name: parquet files here, or datasets on the Hub."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtil.data.defects import reading
from mtil.errors import DatasetError
from mtil.hub.names import HubName

if TYPE_CHECKING:
    from datasets import IterableDataset


def streams_of(sources: Sequence[str]) -> "dict[str, IterableDataset]":
    """The streams of a configuration, by what they are called there.

    Raises:
        DatasetError: There are no such files, nor such a dataset on the Hub, or they cannot be read.
    """
    return {source: _stream(source) for source in sources}


def _stream(source: str) -> "IterableDataset":
    from datasets import load_dataset

    pattern = str(Path(source) / "**" / "*.parquet") if Path(source).is_dir() else source
    if files := sorted(file for file in glob.glob(pattern, recursive=True) if Path(file).is_file()):
        with reading(Path(source)):
            return load_dataset("parquet", data_files=files, split="train", streaming=True)
    name = None if Path(source).is_dir() else HubName.find(source)
    if name is None:
        found = "a folder without any" if Path(source).is_dir() else "nothing of that name"
        expected = "expected parquet files, a folder of them, or OWNER/NAME on the Hub"
        raise DatasetError(f"{source}: data.stream: {expected}, found {found}")
    with reading(Path(source)):
        return load_dataset(name.repo, revision=name.revision, split="train", streaming=True)
