"""Goal-conditioned behaviour cloning on Fetch: goals as the demonstrations state them, and as they came to be.

One policy for all tasks of the suite, which is given goals and nothing else; for each number of demonstrations a task,
one training a relabelling, all on the same demonstrations (the smaller sets are the first of the larger). The floor,
which is what success is worth, is told by `fetch_floor.py`.

    python scripts/benchmarks/hindsight.py --demos 10,100

With `--play` nobody demonstrates anything: in FetchReach alone the hand moves at random, whatever goal is stated.

    python scripts/benchmarks/hindsight.py --play --demos 100
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mtil.data.hdf5.writing import write_task
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import read_json
from mtil.sim.base import load, placement
from mtil.types import Episode, Task

REACH = "FetchReach-v4"
RELABELLINGS: dict[str, dict[str, Any]] = {
    "stated": {"kind": "stated", "key": "desired_goal"},
    "final": {"kind": "final"},
    "future": {"kind": "future"},
    "geometric": {"kind": "future", "offsets": "geometric", "mean": 5},
    "random": {"kind": "random"},
}


def main() -> None:
    options = _options()
    table = Table("goals", "episodes a task", *_tasks(options), "mean", "95% interval", box=box.MARKDOWN)
    for demos in options.demos:
        for name in options.relabel:
            result = _result(options, demos, name)
            rates = [f"{100 * task.rate:.0f}" for task in result.tasks]
            mean = result.mean
            interval = f"{100 * mean.low:.1f} - {100 * mean.high:.1f}"
            table.add_row(name, str(demos), *rates, f"{100 * mean.rate:.1f}", interval)
    Console(width=140).print(table)


def _options() -> argparse.Namespace:
    def names(text: str) -> list[str]:
        return text.split(",")

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demos", type=lambda text: [int(each) for each in text.split(",")], default=[10, 50])
    parser.add_argument("--relabel", type=names, default=list(RELABELLINGS), help=", ".join(RELABELLINGS))
    parser.add_argument("--steps", type=int, default=3000, help="of each training")
    parser.add_argument("--noise", type=float, default=0.1, help="of the demonstrations")
    parser.add_argument("--seed", type=int, default=0, help="of demonstrations and trainings")
    parser.add_argument("--episodes", type=int, default=100, help="a task")
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--play", action="store_true", help="episodes without a purpose, in place of demonstrations")
    parser.add_argument("--out", type=Path, default=Path("runs/hindsight"))
    return parser.parse_args()


def _tasks(options: argparse.Namespace) -> list[str]:
    return [REACH] if options.play else [task.name for task in load("fetch").tasks()]


def _play(folder: Path, *, episodes: int, seed: int) -> None:
    """Write episodes in which the hand moves into random directions, each for up to ten steps; with no sentence."""
    env = load("fetch").make(REACH)
    found = []
    for index in track(range(episodes), description="play"):
        start = placement("collection", seed, REACH, index)
        rng = np.random.default_rng((start, 1))
        observation, _ = env.reset(seed=start)
        observations, actions, truncated = [], [], False
        while not truncated:
            direction = rng.uniform(-1.0, 1.0, 4).astype(np.float32)
            for _ in range(rng.integers(1, 11)):
                observations.append(observation)
                actions.append(direction)
                observation, _, _, truncated, _ = env.step(direction)
                if truncated:
                    break
        found.append(
            Episode(
                observations={key: np.stack([each[key] for each in observations]) for key in observations[0]},
                actions=np.stack(actions),
                rewards=np.zeros(len(actions), np.float32),
                dones=np.arange(len(actions)) == len(actions) - 1,
            )
        )
    env.close()
    env_args = {"env_name": REACH, "type": 2, "env_kwargs": {}}
    write_task(folder / f"{REACH}.hdf5", Task(REACH, ()), found, env_args=env_args)


def _result(options: argparse.Namespace, demos: int, relabel: str) -> EvaluationResult:
    what = "play-" if options.play else ""
    run = options.out / f"{what}{relabel}-{demos}-{options.seed}-{options.steps}"
    file = run / f"success-{options.evaluation_seed}-{options.episodes}.json"
    if not file.exists():
        folder = Path("data") / f"fetch-{what}{demos}-seed{options.seed}"
        if options.play and not folder.exists():
            _play(folder, episodes=demos, seed=options.seed)
        config = {
            "suite": "fetch",
            "seed": options.seed,
            "data": {
                "path": str(folder),
                "observations": ["observation"],
                "goals": {"space": ["achieved_goal"], "relabel": RELABELLINGS[relabel]},
            },
            "collection": None
            if options.play
            else {
                "episodes_per_task": demos,
                "noise": options.noise,
                "seed": options.seed,
                "steps_after_success": 10,
            },
            "policy": {"task_encoder": {"kind": "goal"}},
            "trainer": {"max_steps": options.steps, "validate_every": options.steps, "threads": 1},
        }
        options.out.mkdir(parents=True, exist_ok=True)
        written = options.out / f"{run.name}.yaml"
        written.write_text(json.dumps(config, indent=2))  # which is YAML, too
        _mtil("train", str(written), "--out", str(run), "--resume")
        placements = ["--episodes", str(options.episodes), "--seed", str(options.evaluation_seed)]
        _mtil("evaluate", str(run), *placements, "--json", str(file))
    return read_json(file)


def _mtil(*arguments: str) -> None:
    print("$", " ".join(["mtil", *arguments]), flush=True)
    subprocess.run([str(Path(sys.executable).with_name("mtil")), *arguments], check=True)


if __name__ == "__main__":
    main()
