"""Does robomimic itself read our files, window by window?

Every file of a dataset is opened by robomimic 0.3.0's own `SequenceDataset`. Each window of it is compared with
the file's rows at `clip(t - h .. t + k)`, and its padding mask with where that range leaves the episode. Exits with
status 1 on any difference.

robomimic wants an older world than this package: run it in an environment of its own.

    python -m venv /tmp/robomimic && source /tmp/robomimic/bin/activate
    pip install numpy h5py tqdm termcolor torch six
    pip install --no-deps robomimic==0.3.0
    python scripts/conformance/robomimic_windows.py data/mt10-state
"""

import argparse
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from robomimic.utils.dataset import SequenceDataset  # pyright: ignore[reportMissingImports]
from robomimic.utils.obs_utils import initialize_obs_utils_with_obs_specs  # pyright: ignore[reportMissingImports]

HISTORY = 2
CHUNK = 10
DATASET_KEYS = ("actions", "rewards", "dones")


def main() -> int:
    """Check every file that the command line names."""
    parser = argparse.ArgumentParser(description="Compare robomimic's windows with the rows of the files.")
    parser.add_argument("dataset", type=Path, help="an HDF5 file, or a folder of them")
    dataset = parser.parse_args().dataset
    files = sorted(dataset.glob("*.hdf5")) if dataset.is_dir() else [dataset]
    differences = [_check_file(file) for file in files]
    if not files:
        print(f"{dataset}: no *.hdf5 files")
    return int(not files or any(differences))


def _check_file(path: Path) -> int:
    """Compare the windows of all demonstrations, then of each filter's; returns how many differ."""
    with h5py.File(path, "r") as file:
        episodes, filters = _episodes(file), _filters(file)
    first = next(iter(episodes.values()))
    images = {key[4:]: array.dtype == np.uint8 for key, array in first.items() if key.startswith("obs/")}
    windows = wrong = 0
    for filter_key, members in {None: set(episodes), **filters}.items():
        chosen = [episode for name, episode in episodes.items() if name in members]
        reader = _reader(path, images, filter_key)
        expected = [(episode, t) for episode in chosen for t in range(len(episode["actions"]))]
        wrong += abs(len(reader) - len(expected))
        wrong += sum(not _equal(reader[i], *window) for i, window in enumerate(expected[: len(reader)]))
        windows += len(reader)
    names = ", ".join(filters) or "none"
    print(f"{path.name}: {windows} windows (filter keys: {names}): {f'{wrong} DIFFER' if wrong else 'all equal'}")
    return wrong


def _episodes(file: Any) -> dict[str, dict[str, np.ndarray]]:
    """The arrays of every demonstration, in robomimic's order."""
    episodes: dict[str, dict[str, np.ndarray]] = {}
    for name in sorted(file["data"], key=lambda name: int(name[5:])):
        group = file["data"][name]
        episodes[name] = {key: group[key][()] for key in (*DATASET_KEYS, *(f"obs/{key}" for key in group["obs"]))}
    return episodes


def _filters(file: Any) -> dict[str, set[str]]:
    return {key: {name.decode() for name in names[()]} for key, names in file.get("mask", {}).items()}


def _reader(path: Path, images: dict[str, bool], filter_key: str | None) -> SequenceDataset:
    low_dim = [key for key, is_image in images.items() if not is_image]
    rgb = [key for key, is_image in images.items() if is_image]
    with redirect_stdout(io.StringIO()):
        initialize_obs_utils_with_obs_specs({"obs": {"low_dim": low_dim, "rgb": rgb}})
        return SequenceDataset(
            hdf5_path=str(path),
            obs_keys=tuple(images),
            dataset_keys=DATASET_KEYS,
            frame_stack=HISTORY,
            seq_length=CHUNK,
            get_pad_mask=True,
            hdf5_cache_mode=None,
            filter_by_attribute=filter_key,
            load_next_obs=False,
        )


def _equal(window: dict[str, Any], episode: dict[str, np.ndarray], t: int) -> bool:
    """Whether robomimic's window at step t holds the episode's rows, edges repeated, and says which are padding."""
    rows = np.arange(t - HISTORY + 1, t + CHUNK)
    steps = len(episode["actions"])
    inside = (rows >= 0) & (rows < steps)
    found = {**{key: window[key] for key in DATASET_KEYS}, **{f"obs/{k}": v for k, v in window["obs"].items()}}
    masks = [window["pad_mask"], found.pop("obs/pad_mask")]
    same_rows = all(np.array_equal(array[rows.clip(0, steps - 1)], found[key]) for key, array in episode.items())
    return found.keys() == episode.keys() and same_rows and all(np.array_equal(mask[:, 0], inside) for mask in masks)


if __name__ == "__main__":
    sys.exit(main())
