"""The laws of sampling, resuming and ranks on configurations drawn at random, for longer than the tests have time for.

- sampling: quotas within one of their share, no repetition within a pass, any step at once, the ranks' parts make the
  global batch.
- resume: runs with dropout, accumulation and loader workers are killed (kill -9) at random moments until they end;
  weights, averages, optimiser and `metrics.csv` are then, bit for bit, those of the same run never killed.
- ranks: runs on 2 or 3 ranks end within rounding of the run on one.

    python scripts/benchmarks/laws.py --samplings 1000 --kills 100 --ranks 12 --json laws.json
"""

import argparse
import csv
import json
import multiprocessing
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from mtil.config import load
from mtil.data.apportionment import integer_weights
from mtil.data.sampling import StratifiedBatchSampler
from mtil.policies.checkpoint import LAST
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
CLOSE = 1e-4  # rounding grows over a run's steps
PROCESSES = multiprocessing.get_context("forkserver")


def main() -> None:
    options = _options()
    PROCESSES.set_forkserver_preload(["mtil.training.experiment"])
    torch.set_num_threads(1)
    console, rng = Console(), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        found = {
            "seed": options.seed,
            "sampling": _samplings(options.samplings, rng),
            "resume": _kills(options.kills, rng, Path(folder), console),
            "ranks": _ranks(options.ranks, rng, Path(folder), console),
        }
    console.print_json(data=found)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")
    if any(found[law]["broken"] for law in ("sampling", "resume", "ranks")):
        sys.exit("a law is broken")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samplings", type=int, default=1000, help="samplers to check")
    parser.add_argument("--kills", type=int, default=100, help="processes to kill")
    parser.add_argument("--ranks", type=int, default=12, help="runs on several ranks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _samplings(count: int, rng: random.Random) -> dict[str, Any]:
    broken = [sampling for sampling in (_sampling(rng) for _ in range(count)) if not _lawful(**sampling)]
    return {"samplers": count, "broken": broken}


def _sampling(rng: random.Random) -> dict[str, Any]:
    """Tasks of one window to thousands; tempered, whole or arbitrary weights; more tasks than places, or fewer."""
    sizes = [int(10 ** rng.uniform(0, 3.5)) for _ in range(rng.randint(1, 60))]
    alpha = rng.choice([0.0, 0.5, 1.0, None])
    weights = [rng.uniform(0.01, 10) for _ in sizes] if alpha is None else [size**alpha for size in sizes]
    return {"sizes": sizes, "weights": weights, "batch_size": rng.randint(1, 300), "seed": rng.randint(0, 10**6),
            "ranks": rng.randint(1, 9)}  # fmt: skip


def _lawful(*, sizes: list[int], weights: list[float], batch_size: int, seed: int, ranks: int) -> bool:
    stratum, exact = np.repeat(np.arange(len(sizes)), sizes), integer_weights(weights)
    options = {"weights": weights, "batch_size": batch_size, "seed": seed}
    sampler = StratifiedBatchSampler(stratum, **options)
    drawn = [sampler.batch(step) for step in range(60)]
    had = np.cumsum([np.bincount(stratum[batch], minlength=len(sizes)) for batch in drawn], axis=0)
    share = np.arange(1, 61)[:, None] * batch_size * exact / exact.sum()
    quotas = bool((abs(had - share) < 1 + 1e-9).all())
    at = seed % 60
    at_once = bool((StratifiedBatchSampler(stratum, **options).batch(at) == drawn[at]).all())
    whole = np.full(batch_size, -1)
    for rank in range(ranks):
        draw = next(iter(StratifiedBatchSampler(stratum, **options, start=at, rank=rank, world_size=ranks)))
        whole[draw.places] = draw.windows
    order = np.concatenate(drawn)
    passes = (np.array_split(own, range(n, len(own), n)) for n, own in _by_task(order, stratum, sizes))
    once = all(len(set(each.tolist())) == len(each) for parts in passes for each in parts)
    return quotas and at_once and once and bool((whole == drawn[at]).all())


def _by_task(order: np.ndarray, stratum: np.ndarray, sizes: list[int]) -> Iterator[tuple[int, np.ndarray]]:
    return ((size, order[stratum[order] == task]) for task, size in enumerate(sizes))


def _kills(count: int, rng: random.Random, folder: Path, console: Console) -> dict[str, Any]:
    """Kill runs until so many have died."""
    killed, broken, runs = 0, [], 0
    while killed < count:
        settings = _run_settings(rng) | {"data.num_workers": rng.choice([0, 0, 1, 2])}
        unharmed, harmed = folder / f"unharmed-{runs}", folder / f"harmed-{runs}"
        began = time.monotonic()
        assert _process(settings, unharmed).wait() == 0, settings
        seconds, deaths = time.monotonic() - began, 0
        while True:
            process = _process(settings, harmed)
            status = process.wait(None if deaths >= 8 else rng.uniform(0.2, 1.2) * seconds)
            if status == 0:
                break
            assert status is None, (status, settings)
            process.kill()
            deaths += 1
        killed, runs = killed + deaths, runs + 1
        if not _identical(unharmed, harmed):
            broken.append(settings)
        console.print(f"{killed} of {count} kills: {deaths} in a run of {seconds:.1f} s; broken: {len(broken)}")
    return {"kills": killed, "runs": runs, "broken": broken}


def _ranks(count: int, rng: random.Random, folder: Path, console: Console) -> dict[str, Any]:
    broken, furthest = [], 0.0
    for run in range(count):
        ranks = rng.choice([2, 2, 3])
        settings = _run_settings(rng) | {"policy.trunk.dropout": 0.0, "trainer.strategy": rng.choice(["ddp", "fsdp"])}
        alone, together = folder / f"alone-{run}", folder / f"together-{run}"
        assert _process(settings | {"trainer.strategy": "auto"}, alone).wait() == 0, settings
        port = _free_port()
        parts = [_process(settings | {"trainer.devices": ranks}, together, _place(rank, ranks, port))
                 for rank in range(ranks)]  # fmt: skip
        assert [part.wait() for part in parts] == [0] * ranks, settings
        distance = _distance(alone, together)
        furthest = max(furthest, distance)
        if distance > CLOSE:
            broken.append(settings)
        console.print(f"{run + 1} of {count} runs: {ranks} ranks, {settings['trainer.strategy']}: {distance:.1e}")
    return {"runs": count, "furthest": furthest, "broken": broken}


def _run_settings(rng: random.Random) -> dict[str, Any]:
    return {
        "seed": rng.randint(0, 999),
        "data.batch_size": rng.randint(3, 40),
        "policy.trunk.dropout": rng.choice([0.0, 0.1]),
        "policy.head.kind": rng.choice(["gaussian", "mixture", "discretised"]),
        "trainer.max_steps": rng.randint(30, 60),
        "trainer.accumulate_grad_batches": rng.randint(1, 3),
        "trainer.log_every": rng.randint(1, 9),
        "trainer.validate_every": rng.randint(2, 12),
        "trainer.checkpoint_every": rng.randint(1, 12),
    }


class _Run:
    """A training in a process of its own."""

    def __init__(self, settings: dict[str, Any], run: Path, place: dict[str, str]) -> None:
        self._process = PROCESSES.Process(target=_train, args=(settings, run, place))
        self._process.start()

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit status, or None if it has not ended by then."""
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        os.kill(self._process.pid or 0, signal.SIGKILL)
        self._process.join()


def _process(settings: dict[str, Any], run: Path, place: dict[str, str] | None = None) -> _Run:
    return _Run(settings, run, place or {})


def _train(settings: dict[str, Any], run: Path, place: dict[str, str]) -> None:
    os.environ.update(place)
    multiprocessing.set_start_method("fork", force=True)  # of loader workers, as in a process that nobody forked
    torch.set_num_threads(1)
    fixed = ["policy.task_encoder.kind=one_hot", "policy.trunk.width=32", "policy.trunk.depth=2", f"data.path={SAMPLE}",
             "data.validation_fraction=0.2", "trainer.threads=1", "trainer.progress_bar=false"]  # fmt: skip
    config = load(ExperimentConfig, "{}", [*fixed, *(f"{key}={value}" for key, value in settings.items())])
    train(config, run, resume=True, console=Console(file=StringIO()))


def _place(rank: int, ranks: int, port: int) -> dict[str, str]:
    """What a launcher tells a process."""
    return {"LOCAL_RANK": str(rank), "NODE_RANK": "0", "WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port)}  # fmt: skip


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _identical(first: Path, second: Path) -> bool:
    if (first / "metrics.csv").read_bytes() != (second / "metrics.csv").read_bytes():
        return False
    a, b = (_leaves(torch.load(run / LAST, weights_only=True)) for run in (first, second))
    same = all(torch.equal(a[key], b[key]) if isinstance(a[key], torch.Tensor) else a[key] == b[key] for key in a)
    return a.keys() == b.keys() and same


def _leaves(value: Any, place: str = "") -> dict[str, Any]:
    """What a checkpoint holds, by its place; but for counters of Lightning's that decide nothing."""
    if place.startswith("/loops"):
        return {}
    if isinstance(value, dict | list | tuple):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return {key: leaf for name, each in items for key, leaf in _leaves(each, f"{place}/{name}").items()}
    return {place: value}


def _distance(first: Path, second: Path) -> float:
    """The furthest that weights, averages and logs are apart."""
    a, b = (torch.load(run / LAST, weights_only=True) for run in (first, second))
    kinds = ("state_dict", "current_model_state")
    weights = max((a[kind][name] - b[kind][name]).abs().max().item() for kind in kinds for name in a[kind])
    rows = [list(csv.reader((run / "metrics.csv").read_text().splitlines()[1:])) for run in (first, second)]
    logs = (abs(float(x) - float(y)) for r, s in zip(*rows, strict=True) for x, y in zip(r, s, strict=True) if x or y)
    return max(weights, *logs)


if __name__ == "__main__":
    main()
