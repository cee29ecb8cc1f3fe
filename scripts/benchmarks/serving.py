"""Latency and rate of served actions, beside those of an actor that is called without a socket.

Clients are processes of their own, each asks again as soon as it has its answer (or `--hertz` times a second), and all
share the cores with the server. The actor alone decides for as many slots as there are clients, in one call. Both take
turns in rounds; a latency is what a client waits, from its observation in arrays to its action in one.

    python scripts/benchmarks/serving.py runs/mt10-state --clients 1 16 --seconds 10 --rounds 3
"""

import argparse
import json
import multiprocessing
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from mtil.ranks import cores
from mtil.serving.client import Client

WARM_UP = 20  # requests of each client that are not counted


@dataclass(frozen=True)
class Measured:
    """Seconds that every action took to come, and those of the clock for all of them."""

    latencies: list[float]
    seconds: float

    @property
    def rate(self) -> float:
        """Actions a second."""
        return len(self.latencies) / self.seconds


def main() -> None:
    options = _options()
    found: dict[tuple[str, int], list[Measured]] = {}
    for _ in range(options.rounds):
        for clients in options.clients:
            found.setdefault(("actor alone", clients), []).append(_alone(options, clients))
            found.setdefault(("served", clients), []).append(_served(options, clients))
    _report(found, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory, checkpoint or export")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16])
    parser.add_argument(
        "--slots", type=int, default=32, help="of the server; where fewer than 32, of the actor's batch"
    )
    parser.add_argument("--threads", type=int, default=1, help="that the policy computes with")
    parser.add_argument("--hertz", type=float, help="that each client asks with; as fast as it can unless given")
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _alone(options: argparse.Namespace, clients: int) -> Measured:
    import torch  # not above: each client would import it, too

    from mtil.policies.actor import BATCH, Actor
    from mtil.policies.checkpoint import load_policy

    torch.set_num_threads(options.threads)
    policy = load_policy(options.run).policy
    actor = Actor(policy, slots=clients, batch=min(options.slots, BATCH))
    task = policy.spec.tasks[0].name
    observation = _observation({f.key: {"dtype": f.dtype, "shape": f.shape} for f in policy.spec.observations})
    for slot in range(clients):
        actor.reset(slot, torch.zeros(policy.task_encoders.width), task)
    latencies, seconds = _timed(lambda: actor.act([observation] * clients), options.seconds, options.hertz)
    return Measured([each for each in latencies for _ in range(clients)], seconds)


def _served(options: argparse.Namespace, clients: int) -> Measured:
    context = multiprocessing.get_context("spawn")
    barrier, queue = context.Barrier(clients), context.Queue()
    with _server(options) as (host, port):
        asking = [
            context.Process(target=_ask, args=(host, port, options.seconds, options.hertz, barrier, queue))
            for _ in range(clients)
        ]
        for each in asking:
            each.start()
        answers = [queue.get() for _ in asking]
        for each in asking:
            each.join()
    return Measured([each for latencies, _ in answers for each in latencies], max(seconds for _, seconds in answers))


@contextmanager
def _server(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    words = ["--port", 0, "--slots", options.slots, "--threads", options.threads]
    command = [sys.executable, "-c", "from mtil.cli import main; main()", "serve", str(options.run), *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        host, _, port = server.stdout.readline().strip().rpartition(":")
        try:
            yield host, int(port)
        finally:
            server.terminate()


def _ask(
    host: str,
    port: int,
    seconds: float,
    hertz: float | None,
    barrier: Barrier,
    queue: "Queue[tuple[list[float], float]]",
) -> None:
    """One client."""
    client = Client(host, port)
    client.reset(client.policy["tasks"][0])
    observation = _observation(client.episode["observations"])
    for _ in range(WARM_UP):
        client.act(observation)
    barrier.wait()
    queue.put(_timed(lambda: client.act(observation), seconds, hertz))


def _observation(types: dict) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        key: random.integers(0, 256, each["shape"], np.uint8)
        if len(each["shape"]) > 1
        else random.normal(size=each["shape"]).astype(each["dtype"])
        for key, each in types.items()
    }


def _timed(call: Callable[[], object], seconds: float, hertz: float | None) -> tuple[list[float], float]:
    """How long each of many calls took, and all of them."""
    latencies: list[float] = []
    began = now = time.perf_counter()
    while now - began < seconds:
        call()
        ended = time.perf_counter()
        latencies.append(ended - now)
        if hertz is not None:
            time.sleep(max(0.0, now + 1 / hertz - ended))
        now = time.perf_counter()
    return latencies, now - began


def _report(found: dict[tuple[str, int], list[Measured]], options: argparse.Namespace) -> None:
    table = Table("", "clients", "median ms", "99% ms", "actions/s", "least - most", title=f"{cores()} core(s)")
    record = {"options": {key: str(value) for key, value in vars(options).items()}, "measured": []}
    for (name, clients), rounds in sorted(found.items(), key=lambda each: each[0][::-1]):
        waits = 1e3 * np.concatenate([each.latencies for each in rounds])
        rates = sorted(each.rate for each in rounds)
        median, worst, rate = float(np.median(waits)), float(np.quantile(waits, 0.99)), float(np.median(rates))
        spread = f"{rates[0]:.0f} - {rates[-1]:.0f}"
        table.add_row(name, str(clients), f"{median:.2f}", f"{worst:.2f}", f"{rate:.0f}", spread)
        record["measured"].append({"what": name, "clients": clients, "median": median, "p99": worst, "rates": rates})
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
