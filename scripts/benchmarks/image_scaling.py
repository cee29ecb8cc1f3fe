"""Ten times more images: as fast, in as much memory? On noise, since speed does not depend on what the images show.

    python scripts/benchmarks/image_scaling.py --out data/noise

makes two datasets of ten tasks (unless they are there), one with ten times the demonstrations of the other. Then
- our training loader reads both, batch by batch in turn, in one process: windows per second, and their ratio;
- a process for each opens it, reads as many batches, and tells the memory it holds (`RssAnon`: without the page
  cache, which maps the images, and which the system takes back at will).
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.hdf5.writing import write_task
from mtil.types import Episode, Task

HISTORY, CHUNK, BATCH = 2, 10, 256
KEY = "corner_image"


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    if options.memory_of:
        print(_memory(options.memory_of, options.batches))
        return
    paths = [options.out / f"{demos}" for demos in (options.demos, options.times * options.demos)]
    for path in paths:
        _make(path, int(path.name), options.pixels)
    held = [int(_run("--memory-of", str(path), "--out", str(options.out))) for path in paths]
    loaders = [iter(_module(path).train_dataloader()) for path in paths]
    for loader in loaders:  # once over the data: a page's first use is the system's work
        for _ in range(options.warmup):
            next(loader)
    rounds = [_rates(loaders, options.batches) for _ in range(options.rounds)]
    for path, memory, rates in zip(paths, held, zip(*rounds, strict=True), strict=True):
        size = sum(file.stat().st_size for file in path.iterdir()) / 1e6
        print(f"{path}: {size:,.0f} MB, {statistics.median(rates):,.0f} windows/s, RssAnon {memory / 1e6:,.0f} MB")
    ratios = [more / less for less, more in rounds]
    print(f"ratios: speed {statistics.median(ratios):.3f} ({min(ratios):.3f} - {max(ratios):.3f}), "
          f"memory {held[1] / held[0]:.3f}")  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the datasets")
    parser.add_argument("--demos", type=int, default=25, help="demonstrations a task of the smaller one")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--batches", type=int, default=200, help="in each round, and before memory is measured")
    parser.add_argument("--warmup", type=int, default=1000, help="batches before the first round")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory-of", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _make(path: Path, demos: int, pixels: int) -> None:
    for n in range(10):
        file = path / f"task-{n}.hdf5"
        if not file.exists():
            rng = np.random.default_rng(n)
            episodes = [_noise(rng, int(steps), pixels) for steps in rng.integers(50, 101, demos)]
            env_args = {"env_name": "noise", "type": 2, "env_kwargs": {}}
            write_task(file, Task(f"task-{n}", (f"do task {n}",)), episodes, env_args=env_args)


def _noise(rng: np.random.Generator, steps: int, pixels: int) -> Episode:
    return Episode(
        observations={
            "proprio": rng.normal(size=(steps, 4)).astype(np.float32),
            KEY: rng.integers(0, 256, (steps, pixels, pixels, 3), dtype=np.uint8),
        },
        actions=rng.uniform(-1, 1, (steps, 4)).astype(np.float32),
        rewards=np.zeros(steps, np.float32),
        dones=np.arange(steps) == steps - 1,
    )


def _module(path: Path) -> DemoDataModule:
    config = DataConfig(path=path, observations=("proprio", KEY), batch_size=BATCH, validation_fraction=0)
    return DemoDataModule(config, history=HISTORY, chunk=CHUNK, kinds={"language": 1.0}, seed=0)


def _run(*arguments: str) -> str:
    command = [sys.executable, __file__, *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def _memory(path: Path, batches: int) -> int:
    """Bytes that a process holds which has trained on so many batches, what is mapped excepted."""
    data = _module(path)
    for _ in itertools.islice(data.train_dataloader(), batches):
        pass
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def _rates(loaders: Sequence[Iterator[Batch]], batches: int) -> list[float]:
    """Windows per second of each, from the median time of a batch; they take turns, as the machine's speed drifts."""
    took = np.empty((batches, len(loaders)))
    for i, j in np.ndindex(took.shape):
        began = time.perf_counter()
        next(loaders[j])
        took[i, j] = time.perf_counter() - began
    return (BATCH / np.median(took, axis=0)).tolist()


if __name__ == "__main__":
    main()
