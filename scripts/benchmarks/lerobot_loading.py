"""A LeRobot dataset of 1,000 episodes and 100,000 frames, loaded by us and by lerobot 0.4.4: time to the first batch,
batches a second, memory.

    python scripts/benchmarks/lerobot_loading.py --lerobot PYTHON        # of an environment with lerobot==0.4.4
    python scripts/benchmarks/lerobot_loading.py --lerobot PYTHON --films --data /tmp/films

Twenty tasks of fifty episodes of a hundred frames: a state of 14, an action of 7, a camera of 96 pixels; made with
`--data` where it is not there, as pictures or films. Batches of 64 windows of ten actions. Each contestant is a process
of its own, and they take turns:

- `mtil, once`: the training loader of `DemoDataModule`, images decoded into the cache before the first batch; and
  `mtil, again`, when they are there.
- `mtil, on the fly`: the same, each batch's images decoded when it is asked for.
- `lerobot`: a shuffling `DataLoader` over `LeRobotDataset`, in this process and with two workers.

Time counts from the start of the process to the first batch, imports included. Memory is what processes hold for
themselves (Linux: anonymous memory, of workers, too), since mapped files are the system's to keep or drop.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BATCH, CHUNK, SIZE, FPS = 64, 10, 96, 10
OURS, THEIRS = ("mtil, once", "mtil, again", "mtil, on the fly"), ("lerobot", "lerobot, 2 workers")


def main() -> None:
    """Make the dataset if need be, and have the contestants load it."""
    parser = argparse.ArgumentParser(description="Load a LeRobot dataset, by us and by lerobot.")
    parser.add_argument(
        "--lerobot", type=Path, help="Python of an environment with lerobot 0.4.4; without, we are alone"
    )
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "mtil-lerobot-loading")
    parser.add_argument("--films", action="store_true", help="films instead of pictures")
    parser.add_argument("--episodes", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement of batches a second")
    parser.add_argument("--contestant", choices=[*OURS, *THEIRS], help="be one of them (for this script's own use)")
    options = parser.parse_args()
    if options.contestant:
        print(json.dumps(_measure(options.contestant, options.data, options.seconds)))
        return
    if not (options.data / "meta/info.json").exists():
        _make(options.data, options.episodes, filmed=options.films)
    found = {name: [] for name in (*OURS, *(THEIRS if options.lerobot else ()))}
    with tempfile.TemporaryDirectory() as cache:
        for _ in range(options.rounds):
            shutil.rmtree(cache, ignore_errors=True)
            for name, results in found.items():
                python = options.lerobot if name in THEIRS else Path(sys.executable)
                results.append(_run(python, name, options, cache))
                print(f"{name}: {results[-1]}", file=sys.stderr, flush=True)
    _print(found)


def _run(python: Path, name: str, options: argparse.Namespace, cache: str) -> dict[str, float]:
    environment = os.environ | {"MTIL_CACHE": cache, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    environment |= {"HF_DATASETS_CACHE": f"{cache}/datasets", "START": str(time.time())}
    command = [python, __file__, "--contestant", name, "--data", options.data, "--seconds", options.seconds]
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _make(folder: Path, episodes: int, *, filmed: bool) -> None:
    from mtil.data.conversion import convert, progress_bar
    from mtil.data.hdf5.writing import write_task
    from mtil.types import Task

    tasks = 20
    with tempfile.TemporaryDirectory() as source, progress_bar() as report:
        for task in range(tasks):
            path = Path(source) / f"task-{task:02d}.hdf5"
            write_task(path, Task(path.stem, (f"do the task {task}",)), _episodes(task, episodes // tasks), env_args={})
        convert(Path(source), folder, layout="lerobot", filmed=filmed, fps=float(FPS), report=report)


def _episodes(task: int, count: int) -> Iterator[Any]:
    """A disc that moves before colours, a hundred frames each."""
    from mtil.types import Episode

    rng = np.random.default_rng(task)
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    ground = np.stack([rows * 2, columns * 2, 128 + 0 * rows], axis=-1).astype(np.uint8)
    steps = 100
    for _ in range(count):
        path = rng.uniform(10, SIZE - 10, (2, 2))
        places = np.linspace(path[0], path[1], steps)
        disc = (rows - places[:, 0, None, None]) ** 2 + (columns - places[:, 1, None, None]) ** 2 < 100
        yield Episode(
            observations={
                "state": rng.normal(size=(steps, 14)).astype(np.float32),
                "top_image": np.where(disc[..., None], rng.integers(0, 256, 3, np.uint8), ground).astype(np.uint8),
            },
            actions=rng.uniform(-1, 1, (steps, 7)).astype(np.float32),
            rewards=np.zeros(steps, np.float32),
            dones=np.arange(steps) == steps - 1,
        )


def _measure(name: str, folder: Path, seconds: float) -> dict[str, float]:
    batches = _ours(folder, "on_the_fly" if "fly" in name else "once") if name in OURS else _theirs(folder, name)
    next(batches)
    first = time.time() - float(os.environ["START"])
    start, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - start) < seconds:
        next(batches)
        count += 1
    return {"first": first, "rate": count / spent, "memory": _memory()}


def _ours(folder: Path, decoding: Any) -> Iterator[Any]:
    from mtil.data.config import DataConfig
    from mtil.data.datamodule import DemoDataModule

    config = DataConfig(path=folder, observations=("state", "top_image"), batch_size=BATCH, decoding=decoding)
    data = DemoDataModule(config, history=1, chunk=CHUNK, seed=0, kinds={"language": 1.0})
    return iter(data.train_dataloader())


def _theirs(folder: Path, name: str) -> Iterator[Any]:
    from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]
    from torch.utils.data import DataLoader

    ahead = {"action": [step / FPS for step in range(CHUNK)]}
    data = LeRobotDataset("mtil/loading", root=folder, delta_timestamps=ahead, video_backend="pyav")
    loader = DataLoader(data, batch_size=BATCH, shuffle=True, num_workers=2 if "workers" in name else 0)
    while True:
        yield from loader


def _memory() -> float:
    """Megabytes that this process and its workers hold for themselves."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    held = 0
    for process in (str(os.getpid()), *children):
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        held += sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
    return held / 1000


def _print(found: dict[str, list[dict[str, float]]]) -> None:
    from rich import box  # which lerobot's environment need not have
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE, title=f"{FPS} steps a second, batches of {BATCH}; median (lowest - highest)")
    for column in ("", "seconds to the first batch", "batches a second", "MB of memory"):
        table.add_column(column, justify="right" if column else "left")
    for name, results in found.items():
        cells = []
        for key in ("first", "rate", "memory"):
            values = sorted(result[key] for result in results)
            cells.append(f"{np.median(values):,.1f} ({values[0]:,.1f} - {values[-1]:,.1f})")
        table.add_row(name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
