"""Goal-conditioned behaviour cloning on Fetch: goals as the demonstrations state them, and as they came to be.

One policy for all tasks of the suite, which is given goals and nothing else; for each number of demonstrations a task,
one training a relabelling, all on the same demonstrations (the smaller sets are the first of the larger). The floor,
which is what success is worth, is told by `fetch_floor.py`.

    python scripts/benchmarks/hindsight.py --demos 10,50 --episodes 100
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import read_json
from mtil.sim.base import load

RELABELLINGS: dict[str, dict[str, Any]] = {
    "stated": {"kind": "stated", "key": "desired_goal"},
    "final": {"kind": "final"},
    "future": {"kind": "future"},
    "geometric": {"kind": "future", "offsets": "geometric", "mean": 5},
    "random": {"kind": "random"},
}


def main() -> None:
    options = _options()
    table = Table("goals", "demonstrations", *_tasks(), "mean", "95% interval", box=box.MARKDOWN)
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
    parser.add_argument("--out", type=Path, default=Path("runs/hindsight"))
    return parser.parse_args()


def _tasks() -> list[str]:
    return [task.name for task in load("fetch").tasks()]


def _result(options: argparse.Namespace, demos: int, relabel: str) -> EvaluationResult:
    run = options.out / f"{relabel}-{demos}-{options.seed}-{options.steps}"
    file = run / f"success-{options.evaluation_seed}-{options.episodes}.json"
    if not file.exists():
        config = {
            "suite": "fetch",
            "seed": options.seed,
            "data": {
                "path": f"data/fetch-{demos}-seed{options.seed}",
                "observations": ["observation"],
                "goals": {"space": ["achieved_goal"], "relabel": RELABELLINGS[relabel]},
            },
            "collection": {
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
