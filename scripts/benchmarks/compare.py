"""Train and evaluate variants of a preset side by side, over several seeds, and print one table.

Each seed has demonstrations and a training of its own; all variants of a seed share the demonstrations, unless they
say how to collect others, and all are evaluated on the same held-out placements. Intervals are over placements and
seeds; `mtil compare` takes the run directories for differences. What is done already is not done again. The README's
comparison:

    python scripts/benchmarks/compare.py --seeds 0,1,2 \
        gaussian mixture=policy.head.kind=mixture discretised=policy.head.kind=discretised \
        one-hot=policy.task_encoder.kind=one_hot concat=policy.trunk.conditioning=concat
"""

import argparse
import csv
import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.config import read
from mtil.evaluation.comparison import pooled
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import results_of
from mtil.policies.checkpoint import load_policy
from mtil.training.config import ExperimentConfig, presets
from mtil.training.experiment import ensure_data


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
    parser.add_argument("--condition", help="kind of descriptor that all are told in; by default each its own")
    parser.add_argument("--out", type=Path, default=Path("runs/compare"))
    return parser.parse_args()


def _run(options: argparse.Namespace, name: str, overrides: list[str], seed: int) -> dict[str, Any]:
    """Train and evaluate one variant with one seed."""
    run = options.out / f"{name}-{seed}"
    if (result := _result(run, options)) is None:
        folder = folder_of(options.preset, name, overrides, seed)
        settings = [f"seed={seed}", f"collection.seed={seed}", f"data.path={folder}", *overrides]
        ensure_data(read(ExperimentConfig, presets()[options.preset], settings), Console())
        _train(run, ["train", options.preset, *settings, "--out", str(run), "--resume"])
        told = [] if options.condition is None else ["--condition", options.condition]
        placements = ["--episodes", str(options.episodes), "--seed", str(options.evaluation_seed)]
        _mtil("evaluate", str(run), *placements, *told)
        result = _result(run, options)
        assert result is not None, "an evaluation is kept in the run directory"
    timing = run / "seconds.json"
    return {
        "result": result,
        "seconds": json.loads(timing.read_text()) if timing.exists() else None,
        **_validation(run),
    }


def folder_of(preset: str, name: str, overrides: list[str], seed: int) -> Path:
    """Where a variant's demonstrations lie: in a folder of its own, if it says how to collect them."""
    collected = any(override.startswith("collection.") for override in overrides)
    return Path("data") / "-".join([preset, *([name] if collected else []), f"seed{seed}"])


def _train(run: Path, arguments: list[str]) -> None:
    """Train, and keep how long it took, unless it only continued what had been interrupted."""
    fresh, began = not run.exists(), time.monotonic()
    _mtil(*arguments)
    if fresh:
        (run / "seconds.json").write_text(json.dumps(time.monotonic() - began))


def _result(run: Path, options: argparse.Namespace) -> EvaluationResult | None:
    """The run's result on these placements, if it has been evaluated there."""
    for result in results_of(run).values() if run.exists() else ():
        how = result.protocol
        kind = options.condition or load_policy(run).policy.default_kind
        plain = how.told_as_trained and how.condition == kind and how.replay is None and how.untrained is None
        if plain and (how.seed, how.episodes_per_task) == (options.evaluation_seed, options.episodes):
            return result
    return None


def _mtil(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("mtil")), *arguments]
    print("$", " ".join(["mtil", *arguments]), flush=True)
    subprocess.run(command, check=True)


def _validation(run: Path) -> dict[str, float]:
    """The last validation of a run, each task weighing the same; nothing where no demonstrations were held out."""
    with (run / "metrics.csv").open(newline="") as file:
        validations = [row for row in csv.DictReader(file) if row.get("val/nll")]
    if not validations:
        return {"nll": math.nan, "error": math.nan}
    last = validations[-1]
    return {
        name: statistics.fmean(float(last[key]) for key in last if key.startswith(f"{column}/"))
        for name, column in {"nll": "val/nll", "error": "val/action_error"}.items()
    }


def _summary(name: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
    found = pooled([run["result"] for run in runs])
    weakest = min(found.tasks, key=lambda task: task.rate)
    seconds = [run["seconds"] for run in runs if run["seconds"] is not None]
    return {
        "variant": name,
        "rates": found.seeds,
        "rate": found.mean.rate,
        "low": found.mean.low,
        "high": found.mean.high,
        "weakest": weakest.task,
        "weakest_rate": weakest.rate,
        "tasks": {task.task: task.rate for task in found.tasks},
        "val_nll": statistics.fmean(run["nll"] for run in runs),
        "val_action_error": statistics.fmean(run["error"] for run in runs),
        "train_seconds": statistics.median(seconds) if seconds else None,
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
            "-" if row["train_seconds"] is None else f"{row['train_seconds']:.0f}",
        )
    Console(width=160).print(table)
    print(f"{options.preset}, training seeds {options.seeds}, {options.episodes} held-out episodes a task of "
          f"evaluation seed {options.evaluation_seed}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
