"""One policy for two robots, from two datasets: Meta-World's MT10 and Fetch, beside a policy of each alone.

Collects both (25 and 100 demonstrations a task), trains each arm on one core, and evaluates it in the simulators of the
tasks that it was trained on; what is done already is not done again.

    python scripts/benchmarks/mixture.py --steps 10000 --seed 0
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from rich.console import Console

from mtil.config import read
from mtil.data.statistics import FeatureStatistics, stacked
from mtil.data.store import DemoStore
from mtil.evaluation.results import read_json
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train

MT10, FETCH = "metaworld-mt10", "fetch"
DEMOS, EPISODES = {MT10: 25, FETCH: 100}, {MT10: 50, FETCH: 100}
SHARED = {"objects": "observation", "goal": "desired_goal", "proprio": None}
ARMS = (
    "alone, MT10",
    "alone, Fetch",
    "both, keys apart",
    "both, keys shared",
    "both, keys shared, statistics of all",  # as if they were one dataset
)


def main() -> int:
    """Collect, train, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/mixture"))
    options = parser.parse_args()
    for suite, demos in DEMOS.items():
        wanted = ("--episodes-per-task", demos, "--noise", 0.1, "--seed", options.seed)
        _mtil("collect", suite, "--out", options.out / suite, *wanted)
    print("| arm | MT10 % | 95% interval | Fetch % | 95% interval |\n|---|---|---|---|---|")
    for number, arm in enumerate(ARMS):
        run = options.out / f"arm-{number}-{options.seed}"
        _train(arm, run, options)
        suites = {"alone, MT10": [MT10], "alone, Fetch": [FETCH]}.get(arm, [MT10, FETCH])
        print(f"| {arm} | {' | '.join(_rate(run, suite) if suite in suites else ' | ' for suite in (MT10, FETCH))} |")
    return 0


def _train(arm: str, run: Path, options: argparse.Namespace) -> None:
    file = run.with_suffix(".yaml")
    trainer = {"max_steps": options.steps, "threads": 1, "progress_bar": False}
    config = {"seed": options.seed, "suite": MT10, "data": _data(arm, options.out), "trainer": trainer}
    file.write_text(yaml.safe_dump(config))
    pooled = patch.object(DemoStore, "own_statistics", _pooled) if "statistics of all" in arm else nullcontext()
    with pooled:
        train(read(ExperimentConfig, file), run, resume=True, console=Console(quiet=True))


def _data(arm: str, out: Path) -> dict[str, Any]:
    mt10, fetch = str(out / MT10), str(out / FETCH)
    if arm == "alone, MT10":
        return {"path": mt10}
    if arm == "alone, Fetch":
        return {"path": fetch, "observations": ["observation", "desired_goal"]}
    if "shared" not in arm:
        return {"mixture": [{"path": mt10, "weight": 10}, {"path": fetch, "weight": 3}]}
    mixture = [{"path": mt10, "weight": 10}, {"path": fetch, "weight": 3, "keys": SHARED}]
    return {"mixture": mixture, "observations": ["objects", "goal", "proprio"]}


def _pooled(store: DemoStore, episodes: Any) -> Mapping[str, FeatureStatistics]:
    """Of each dataset, the statistics of both."""
    return stacked([store.statistics(episodes)] * len(store.spec.embodiments))


def _rate(run: Path, suite: str) -> str:
    file = run / f"{suite}.json"
    if not file.exists():
        wanted = ("--suite", suite, "--episodes", EPISODES[suite], "--json", file)
        _mtil("evaluate", run, *wanted)
    mean = read_json(file).mean
    return f"{100 * mean.rate:.1f} | {100 * mean.low:.1f} - {100 * mean.high:.1f}"


def _mtil(*arguments: object) -> None:
    subprocess.run(["mtil", *map(str, arguments)], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
