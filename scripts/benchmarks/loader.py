"""Windows per second: our loader beside robomimic's and beside a bare gather of the same windows, in one process.

    python -m pip install --no-deps robomimic==0.3.0 && python -m pip install termcolor six tqdm
    python scripts/benchmarks/loader.py --data data/mt10-state --json loader.json
    python scripts/benchmarks/loader.py --data data/mt10-pixels --images corner_image

robomimic reads one file, so the first of a folder is what all contestants read; ours then reads the whole folder too.

- `mtil`: the training loader of `DemoDataModule`, its batches finished: masks, tasks, weights, descriptors (sentences).
- `robomimic`: a `DataLoader` over robomimic 0.3.0's `SequenceDataset`, with padding and its mask, from the file
  (`hdf5_cache_mode=None`) and from its cache of finished windows (`"all"`). It asks for no reward, no next observation.
- `lerobot` (with `--lerobot`): a `DataLoader` over a dataset that LeRobot 0.4.4 has written of the same demonstrations,
  in this process and with two workers (see `lerobot_windows.py`).
- `bare gather`: the observations and actions of windows whose rows are known are read, and nothing else is done.
- With `--images`, over all files: `images alone`, the images of windows whose rows are known; and `memcpy`, a plain
  copy of these very images, which lie in order in the process's own memory.

All are asked in turn, in several rounds, since the speed of a machine drifts. That they deliver equal windows is
checked first. Exits with status 1 if they do not.

Legend: B batch, H history, K chunk.
"""

import argparse
import io
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader, default_collate

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.windows import Windows
from mtil.errors import MtilError
from mtil.files import replacing

try:
    from robomimic.utils.dataset import SequenceDataset  # pyright: ignore[reportMissingImports]
    from robomimic.utils.obs_utils import initialize_obs_utils_with_obs_specs  # pyright: ignore[reportMissingImports]
except ImportError as missing:
    sys.exit(f"{missing}; expected robomimic: pip install --no-deps robomimic==0.3.0 && pip install termcolor six tqdm")

HISTORY, CHUNK = 2, 10
CHECKED = 8
"""Batches whose windows are compared."""
COPIED = 40
"""Batches whose images are copied in turn: more than the processor's caches hold."""
WORKERS = 2
"""Of LeRobot's loader, beside the one without."""
OURS, CACHED, LEROBOT = "mtil", "robomimic, cached", f"lerobot, {WORKERS} workers"
IMAGES, COPY = "images alone", "memcpy"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    try:
        file = open_tasks(options.data)[0].path
        ours = _ours(file, options)
        whole = None if options.data == file else _ours(options.data, options)
    except MtilError as error:
        sys.exit(str(error))
    if len(ours.train) < options.batch_size:
        sys.exit(f"--batch-size: expected at most the {len(ours.train)} windows of {file}, found {options.batch_size}")
    from_file, cached = (_reader(ours, file, cache) for cache in (None, "all"))
    _check(ours, *(partial(_windows, reader, _cut) for reader in (from_file, cached)))
    contestants = {
        OURS: iter(ours.train_dataloader()),
        CACHED: _epochs(cached, options.batch_size),
        "robomimic, from file": _epochs(from_file, options.batch_size),
        "bare gather": map(_gather(ours), itertools.cycle(_drawn(ours, len(ours.train) // options.batch_size))),
    }
    ratios = [(OURS, CACHED)]
    folder = TemporaryDirectory()
    if options.lerobot:
        contestants |= _lerobot(ours, file, Path(folder.name) / "lerobot", options)
        ratios += [(OURS, LEROBOT)]
    if whole:
        everything = f"mtil, all {len(whole.store.spec.tasks)} files"
        contestants[everything] = iter(whole.train_dataloader())
        ratios += [(everything, COPY)] if options.images else []
    if options.images:
        contestants |= _images(whole or ours)
        ratios += [(IMAGES, COPY)]
    rates = _race(contestants, options)
    folder.cleanup()
    _report(rates, ratios, file, len(ours.train), options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/mt10-state"), help="an HDF5 file, or a folder of them")
    parser.add_argument("--images", nargs="*", default=[], metavar="KEY", help="images to read, beside all states")
    parser.add_argument("--lerobot", action="store_true", help="LeRobot's loader, too")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=0.5, help="of each contestant in each round")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _ours(path: Path, options: argparse.Namespace) -> DemoDataModule:
    features = open_tasks(path)[0].observations.values()
    keys = (*(feature.key for feature in features if feature.kind == "state"), *options.images)
    config = DataConfig(path=path, observations=keys, batch_size=options.batch_size, validation_fraction=0)
    return DemoDataModule(config, history=HISTORY, chunk=CHUNK, kinds={"language": 1.0}, seed=0)


def _reader(ours: DemoDataModule, file: Path, cache: str | None) -> SequenceDataset:
    keys = {kind: [f.key for f in ours.store.spec.observations if f.kind == kind] for kind in ("state", "image")}
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        initialize_obs_utils_with_obs_specs({"obs": {"low_dim": keys["state"], "rgb": keys["image"]}})
        return SequenceDataset(
            hdf5_path=str(file),
            obs_keys=(*keys["state"], *keys["image"]),
            dataset_keys=("actions",),
            frame_stack=HISTORY,
            seq_length=CHUNK,
            get_pad_mask=True,
            hdf5_cache_mode=cache,
            load_next_obs=False,
        )


def _epochs(reader: Any, batch_size: int, *, workers: int = 0) -> Iterator[Any]:
    """One epoch after another, as the trainings of robomimic and LeRobot load them."""
    loader = DataLoader(reader, batch_size=batch_size, shuffle=True, drop_last=True, num_workers=workers)
    while True:
        yield from loader


def _lerobot(ours: DemoDataModule, file: Path, folder: Path, options: argparse.Namespace) -> dict[str, Iterator[Any]]:
    """LeRobot's loaders, once their windows are found to be ours."""
    import lerobot_windows

    states = [f.key for f in ours.store.spec.observations if f.kind == "state"]
    images = [f.key for f in ours.store.spec.observations if f.kind == "image"]
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        lerobot_windows.written(file, folder, states, images)
        reader = lerobot_windows.opened(folder, (*states, *images), history=HISTORY, chunk=CHUNK)
    _check(ours, partial(_windows, reader, partial(lerobot_windows.as_ours, keys=(*states, *images))))
    alone, shared = (_epochs(reader, options.batch_size, workers=workers) for workers in (0, WORKERS))
    return {"lerobot": alone, LEROBOT: shared}


def _drawn(ours: DemoDataModule, batches: int) -> list[np.ndarray]:
    """The windows of our first batches."""
    loader: Any = ours.train_dataloader()
    return [draw.windows.numpy() for draw in itertools.islice(loader.batch_sampler, batches)]


def _gather(ours: DemoDataModule) -> Callable[[np.ndarray], tuple[dict[str, torch.Tensor], np.ndarray]]:
    """Reads the observations and actions of the given windows."""
    store = ours.store
    windows = Windows(store.start.numpy(), store.length.numpy(), history=HISTORY, chunk=CHUNK)
    rows = windows.rows(np.arange(len(windows)))
    states = {f.key: store.features[f.key].numpy() for f in store.spec.observations if f.kind == "state"}
    actions = store.features[store.spec.action.key].numpy()

    def gather(drawn: np.ndarray) -> tuple[dict[str, torch.Tensor], np.ndarray]:
        history, chunk = rows.history.take(drawn, axis=0), rows.chunk.take(drawn, axis=0)
        seen = {key: torch.from_numpy(values.take(history, axis=0)) for key, values in states.items()}
        seen |= {key: images.take(history) for key, images in store.images.items()}
        return seen, actions.take(chunk, axis=0)

    return gather


def _images(ours: DemoDataModule) -> dict[str, Iterator[Any]]:
    """Reading the images of our first batches, and copying what was read."""
    store = ours.store
    windows = Windows(store.start.numpy(), store.length.numpy(), history=HISTORY, chunk=CHUNK)
    rows = [windows.rows(drawn).history for drawn in _drawn(ours, COPIED)]
    cameras = list(store.images.values())
    copies = [[images.take(each) for images in cameras] for each in rows]

    def read(history: np.ndarray) -> list[torch.Tensor]:
        return [images.take(history) for images in cameras]

    return {
        IMAGES: map(read, itertools.cycle(rows)),
        COPY: ([images.clone() for images in batch] for batch in itertools.cycle(copies)),
    }


def _windows(reader: Any, as_ours: Callable[[dict[str, Any]], dict[str, Any]], drawn: list[int]) -> dict[str, Any]:
    """A batch of windows of a peer's."""
    return as_ours(default_collate([reader[window] for window in drawn]))


def _check(ours: DemoDataModule, *readers: Callable[[list[int]], dict[str, Any]]) -> None:
    """Ends the program if a window of ours differs from a peer's, or from the bare gather's."""
    gather = _gather(ours)
    for batch, drawn in zip(ours.train_dataloader(), _drawn(ours, CHECKED), strict=False):
        observations, actions = gather(drawn)
        same = _equal(batch, {"obs": observations, "actions": torch.from_numpy(actions)})
        same &= all(_equal(batch, read(drawn.tolist())) for read in readers)
        if not same:
            sys.exit("the contestants' windows DIFFER")


def _cut(found: dict[str, Any]) -> dict[str, Any]:
    """Our part of robomimic's windows, which reach from the first observation to the last action."""
    seen = {key: values[:, :HISTORY] for key, values in found["obs"].items()}
    seen = {key: values if values.dtype == torch.uint8 else values.float() for key, values in seen.items()}
    mask = seen.pop("pad_mask").squeeze(2).bool()
    later = {key: found[key][:, HISTORY - 1 :] for key in ("actions", "pad_mask")}
    return {"obs": seen, "history_mask": mask, "actions": later["actions"].float(), "action_mask": later["pad_mask"]}


def _equal(batch: Batch, found: dict[str, Any]) -> bool:
    return (
        batch.observations.keys() == found["obs"].keys()
        and all(torch.equal(values, found["obs"][key]) for key, values in batch.observations.items())
        and torch.equal(batch.actions, found["actions"])
        and torch.equal(batch.history_mask, found.get("history_mask", batch.history_mask))
        and torch.equal(batch.action_mask, found.get("action_mask", batch.action_mask).expand_as(batch.action_mask))
    )


def _race(contestants: dict[str, Iterator[Any]], options: argparse.Namespace) -> dict[str, list[float]]:
    """Windows per second of each contestant in each round, after one that does not count."""
    rounds = [
        {name: _rate(batches, options.batch_size, options.seconds) for name, batches in contestants.items()}
        for _ in range(1 + options.rounds)
    ]
    return {name: [rates[name] for rates in rounds[1:]] for name in contestants}


def _rate(batches: Iterator[Any], batch_size: int, seconds: float) -> float:
    began = time.perf_counter()
    for count in itertools.count(1):
        next(batches)
        elapsed = time.perf_counter() - began
        if elapsed > seconds:
            return count * batch_size / elapsed
    raise AssertionError


def _report(
    rates: dict[str, list[float]],
    ratios: list[tuple[str, str]],
    file: Path,
    windows: int,
    options: argparse.Namespace,
) -> None:
    found = {f"{a} / {b}": [x / y for x, y in zip(rates[a], rates[b], strict=True)] for a, b in ratios}
    table = Table(box=box.MARKDOWN)
    table.add_column("windows per second")
    for title in ("median", "min", "max"):
        table.add_column(title, justify="right")
    for name, each in rates.items():
        table.add_row(name, *(f"{value:,.0f}" for value in _spread(each).values()))
    for name, each in found.items():
        table.add_row(name, *(f"{value:.2f}" for value in _spread(each).values()))
    Console(width=120).print(table)
    print(f"{windows} windows of {file.name}, history {HISTORY}, chunk {CHUNK}, batches of {options.batch_size}; "
          f"{options.rounds} rounds of {options.seconds} s each; windows equal")  # fmt: skip
    if options.json:
        result = {
            **{key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()},
            **{"file": file.name, "windows": windows, "history": HISTORY, "chunk": CHUNK},
            "rates": {name: {**_spread(each), "rounds": each} for name, each in rates.items()},
            "ratios": {name: {**_spread(each), "rounds": each} for name, each in found.items()},
        }
        with replacing(options.json) as path:
            path.write_text(json.dumps(result, indent=2) + "\n")


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


if __name__ == "__main__":
    main()
