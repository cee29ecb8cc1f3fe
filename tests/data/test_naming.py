"""What datasets are called."""

from pathlib import Path

import pytest

from mtil.data.huggingface.config import StreamConfig
from mtil.data.naming import called, streamed_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("data/mt10", "mt10"),
        ("data/lift.hdf5", "lift"),
        ("acme/lift@main", "lift"),
        ("data/push/*.parquet", "push"),
        ("*.parquet", "data"),
    ],
)
def test_a_dataset_is_called_as_what_holds_it(path: str, name: str) -> None:
    assert called(Path(path)) == name


def test_a_stream_is_called_as_its_sources() -> None:
    sources = ("acme/lift", "data/push/*.parquet")
    assert streamed_name(StreamConfig(sources=sources)) == "lift+push"
    assert streamed_name(StreamConfig(sources=sources, name="acme")) == "acme"
