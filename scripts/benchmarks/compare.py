"""Train and evaluate variants of a preset side by side, over several seeds, and print one table.

Each seed has demonstrations and a training of its own; all variants of a seed share the demonstrations, and all are
evaluated on the same held-out placements. What is done already is not done again. The README's comparison:

    python scripts/benchmarks/compare.py --seeds 0,1,2 \
        gaussian mixture=policy.head.kind=mixture discretised=policy.head.kind=discretised \
        one-hot=policy.task_encoder.kind=one_hot concat=policy.trunk.conditioning=concat
"""

import argparse
import csv
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from mtil.evaluation.metrics import TaskResult, mean_interval
from mtil.evaluation.results import read_json


def main() -> None:
    options = _options()
    rows = []
    for variant in options.variants:
        name, _, overrides = variant.partition("=")
        runs = [_run(options, name, overrides.split() if overrides else [], seed) for seed in options.seeds]
        rows.append(_summary(name, runs))
        _print(rows, options)
    (options.out / "summary.json").write_text(json.dumps(rows, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", help="NAME or NAME=KEY.PATH=VALUE[ KEY.PATH=VALUE ...]")
    parser.add_argument("--preset", default="mt10-state")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    return parser.parse_args()


def _run(options: argparse.Namespace, name: str, overrides: list[str], seed: int) -> dict[str, Any]:
    """Train and evaluate one variant with one seed."""
    run = options.out / f"{name}-{seed}"
    result = run / "evaluation" / f"seed-{options.evaluation_seed}.json"
    timing = run / "seconds.json"
    if not result.exists():
        data = f"data/{options.preset}-seed{seed}"
        if not Path(data).exists():
            _mtil("train", options.preset, f"seed={seed}", f"collection.seed={seed}", f"data.path={data}",
                  "trainer.max_steps=1", "--out", str(options.out / f".collect-{seed}"), "--resume")  # fmt: skip
        began = time.monotonic()
        _mtil("train", options.preset, f"seed={seed}", f"collection.seed={seed}", f"data.path={data}",
              *overrides, "--out", str(run), "--resume")  # fmt: skip
        timing.write_text(json.dumps(time.monotonic() - began))
        _mtil("evaluate", str(run), "--episodes", str(options.episodes), "--seed", str(options.evaluation_seed),
              "--json", str(result))  # fmt: skip
    return {"tasks": read_json(result).tasks, "seconds": json.loads(timing.read_text()), **_validation(run)}


def _mtil(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("mtil")), *arguments]
    print("$", " ".join(["mtil", *arguments]), flush=True)
    subprocess.run(command, check=True)


def _validation(run: Path) -> dict[str, float]:
    """The last validation of a run, each task weighing the same."""
    with (run / "metrics.csv").open(newline="") as file:
        last = [row for row in csv.DictReader(file) if row["val/nll"]][-1]
    return {
        name: statistics.fmean(float(last[key]) for key in last if key.startswith(f"{column}/"))
        for name, column in {"nll": "val/nll", "error": "val/action_error"}.items()
    }


def _summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    tasks: list[tuple[TaskResult, ...]] = [run["tasks"] for run in runs]
    names = [task.task for task in tasks[0]]
    pooled = {task: sum(t.successes for ts in tasks for t in ts if t.task == task) for task in names}
    episodes = sum(ts[0].episodes for ts in tasks)
    low, high = mean_interval(np.array(list(pooled.values())), np.full(len(names), episodes))
    weakest = min(pooled, key=lambda task: pooled[task])
    return {
        "variant": name,
        "rates": [statistics.fmean(task.rate for task in ts) for ts in tasks],
        "rate": statistics.fmean(pooled.values()) / episodes,
        "low": float(low),
        "high": float(high),
        "weakest": weakest,
        "weakest_rate": pooled[weakest] / episodes,
        "tasks": {task: count / episodes for task, count in pooled.items()},
        "val_nll": statistics.fmean(run["nll"] for run in runs),
        "val_action_error": statistics.fmean(run["error"] for run in runs),
        "train_seconds": statistics.median(run["seconds"] for run in runs),
    }


def _print(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    table = Table(box=box.MARKDOWN)
    table.add_column("variant")
    for title in ("success %", "95% interval", "each seed", "weakest task", "val NLL", "val error", "train s"):
        table.add_column(title, justify="right")
    for row in rows:
        table.add_row(
            row["variant"],
            f"{100 * row['rate']:.1f}",
            f"{100 * row['low']:.1f} - {100 * row['high']:.1f}",
            ", ".join(f"{100 * rate:.1f}" for rate in row["rates"]),
            f"{row['weakest']} {100 * row['weakest_rate']:.0f}",
            f"{row['val_nll']:.2f}",
            f"{row['val_action_error']:.4f}",
            f"{row['train_seconds']:.0f}",
        )
    Console(width=160).print(table)
    print(f"{options.preset}, training seeds {options.seeds}, {options.episodes} held-out episodes a task of "
          f"evaluation seed {options.evaluation_seed}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
