"""What datasets are called, where a policy knows several."""

from pathlib import Path

from mtil.data.config import DatasetConfig
from mtil.data.huggingface.config import StreamConfig
from mtil.hub.names import on_hub


def name_of(dataset: DatasetConfig) -> str:
    """What a dataset of a mixture is called."""
    return dataset.name or called(dataset.path)


def streamed_name(config: StreamConfig) -> str:
    """What the sources of a stream are called together."""
    return config.name or "+".join(map(called, map(Path, config.sources)))


def called(source: Path) -> str:
    """What a dataset is called: as its file or folder, that of a pattern, or as on the Hub, whatever its revision."""
    if "*" in source.name:
        return source.parent.name or "data"
    name = on_hub(source)
    if name is not None:
        return name.repo.rpartition("/")[2]
    return source.stem if source.suffix in (".hdf5", ".h5") else source.name
