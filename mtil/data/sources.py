"""Where a dataset lies: at a path, or on the Hub, from where it is fetched."""

from pathlib import Path

from mtil.data.defects import Findings
from mtil.data.lerobot.info import INFO, read_info
from mtil.errors import DatasetError, HubError
from mtil.hub.fetching import fetch
from mtil.hub.names import HubName, nowhere, on_hub

LEROBOT = ("meta/*.json", "meta/*.parquet", "data/*.parquet", "videos/*.mp4")
HDF5 = ("*.hdf5", "*.h5")

_DEEPER = ("*/*.hdf5", "*/*.h5")


def located(path: Path, *, local: bool = False) -> Path:
    """The file or folder of a dataset: the path itself, or, if nothing is there, what the Hub has by that name.

    Args:
        path: A path, or `owner/name`, perhaps with `@revision`.
        local: Whether to look at the Hub's cache alone.

    Raises:
        DatasetError: There is no such path, nor such a dataset on the Hub, or it cannot be fetched.
    """
    name = on_hub(path)
    if name is None:
        if path.exists() or path.is_symlink():
            return path
        raise DatasetError(nowhere(path, expected="file or folder", kind="dataset"))
    try:
        return _fetched(name, local=local)
    except HubError as error:
        raise DatasetError(f"{error}; give a file or folder that is here, or a dataset on the Hub") from None


def pinned(path: Path) -> Path:
    """A path as it is; of a name on the Hub, the commit that it means now.

    Raises:
        DatasetError: As `located` does.
    """
    name = on_hub(path)
    return path if name is None or name.pinned else Path(str(HubName(name.repo, located(path).name)))


def _fetched(name: HubName, *, local: bool) -> Path:
    """First what a LeRobot dataset says of itself, lest one that is not read be fetched in vain."""
    folder = fetch(name, kind="dataset", files=(INFO, *HDF5), ignored=_DEEPER, local=local)
    if not (folder / INFO).is_file() or read_info(folder, Findings(str(folder))) is None:
        return folder
    return fetch(HubName(name.repo, folder.name), kind="dataset", files=LEROBOT, ignored=_DEEPER, local=local)
