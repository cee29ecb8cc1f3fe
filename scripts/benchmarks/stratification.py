"""Does stratifying the batches over tasks help? Imbalanced data, stratified against uniform sampling, side by side.

Half of the ten tasks of MT10 have 50 demonstrations, half have 5 (odd seeds exchange the halves); and the opposites
window-open and window-close alone, one with 50 and the other with 5. Each seed has demonstrations and trainings of its
own, and its trainings differ in the sampler alone. Along the way: success on placements never trained on (half as many
before the end), and NLL and action error of demonstrations never trained on (another collection, ten a task). What is
done already is not done again.

    python scripts/benchmarks/stratification.py --seeds 0,1,2 --out runs/stratification
"""

import argparse
import json
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mtil.data.datamodule import WindowDataset
from mtil.data.sampling import Draw
from mtil.data.store import DemoStore
from mtil.evaluation.metrics import mean_interval
from mtil.evaluation.report import read_json
from mtil.policies.checkpoint import load_policy
from mtil.sim.base import load

SUITE = "metaworld-mt10"
MANY, FEW, HELD_OUT = 50, 5, 10
OPPOSITES = ["window-open-v3", "window-close-v3"]
SAMPLERS = {"uniform": "data.sampling.kind=uniform", "stratified": "data.sampling.alpha=0"}
STEPS = (1000, 2000, 5000)


@dataclass(frozen=True)
class Setting:
    """Tasks, and which of them have few demonstrations, for a seed."""

    name: str
    tasks: list[str]
    rare: list[str]
    seed: int


def main() -> None:
    options = _options()
    settings = [setting for seed in options.seeds for setting in _settings(seed)]
    for setting in settings:
        _collect(setting, options.out)
    jobs = [(setting, sampler) for setting in settings for sampler in SAMPLERS]
    with ThreadPoolExecutor(options.parallel) as pool:
        found = list(pool.map(lambda job: _run(job[0], job[1], options), jobs))
    (options.out / "runs.json").write_text(json.dumps(found, indent=2) + "\n")
    _report(found, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--parallel", type=int, default=2, help="trainings at once, each with one thread")
    parser.add_argument("--out", type=Path, default=Path("runs/stratification"))
    return parser.parse_args()


def _settings(seed: int) -> list[Setting]:
    tasks = [task.name for task in load(SUITE).tasks()]
    rare = tasks[(seed + 1) % 2 :: 2]
    return [Setting("mt10", tasks, rare, seed), Setting("opposites", OPPOSITES, [OPPOSITES[seed % 2]], seed)]


def _collect(setting: Setting, out: Path) -> None:
    """Demonstrations of a seed, and others, ten a task, to measure on."""
    common = [task for task in setting.tasks if task not in setting.rare]
    seed = 100 + setting.seed
    for tasks, episodes in ((common, MANY), (setting.rare, FEW)):
        _mtil("collect", SUITE, "--out", str(_data(setting, out)), "--tasks", ",".join(tasks), "--seed", str(seed),
              "--episodes-per-task", str(episodes), *_PRESET)  # fmt: skip
    _mtil("collect", SUITE, "--out", str(out / "held-out"), "--seed", "999", "--episodes-per-task", str(HELD_OUT),
          *_PRESET)  # fmt: skip


_PRESET = ("--noise", "0.1", "--max-steps", "100", "--steps-after-success", "15")  # as in mt10-state


def _data(setting: Setting, out: Path) -> Path:
    return out / f"{setting.name}-seed{setting.seed}"


def _run(setting: Setting, sampler: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train with a sampler, and measure the checkpoints that it left."""
    run = options.out / f"{setting.name}-{sampler}-{setting.seed}"
    data = _data(setting, options.out)
    if not (run / "checkpoints" / "last.ckpt").exists() or load_policy(run).step < STEPS[-1]:
        _mtil("train", "mt10-state", f"data.path={data}", "collection=null", "data.validation_fraction=0",
              f"seed={setting.seed}", SAMPLERS[sampler], "trainer.threads=1", "trainer.keep_every=1000",
              "trainer.progress_bar=false", "--out", str(run), "--resume")  # fmt: skip
    points = {step: _measure(run, step, setting, options) for step in STEPS}
    return {"setting": setting.name, "sampler": sampler, "seed": setting.seed, "rare": setting.rare, "points": points}


def _measure(run: Path, step: int, setting: Setting, options: argparse.Namespace) -> dict[str, Any]:
    """Success, NLL and action error of every task, at a step."""
    checkpoint = run / "checkpoints" / f"step-{step}.ckpt"
    result = run / "evaluation" / f"step-{step}.json"
    if not result.exists():
        episodes = str(_episodes(step, options))
        _mtil("evaluate", str(checkpoint), "--tasks", ",".join(setting.tasks), "--episodes", episodes,
              "--seed", str(options.evaluation_seed), "--workers", "1", "--json", str(result))  # fmt: skip
    successes = {task.task: task.successes for task in read_json(result).tasks}
    losses = _losses(checkpoint, setting, options.out / "held-out")
    return {task: {"successes": successes[task]} | losses[task] for task in setting.tasks}


def _episodes(step: int, options: argparse.Namespace) -> int:
    return options.episodes if step == STEPS[-1] else options.episodes // 2


@torch.no_grad()
def _losses(checkpoint: Path, setting: Setting, held_out: Path) -> dict[str, dict[str, float]]:
    """Mean NLL and action error of the held-out demonstrations of every task, told by each of its sentences in turn."""
    policy = load_policy(checkpoint).policy
    store = DemoStore.open(held_out, tasks=policy.spec.task_names)
    windows = WindowDataset(store, torch.arange(len(store.length)), history=1, chunk=1, kinds=("language",), seed=0)
    found: dict[str, dict[str, float]] = {}
    for index, task in enumerate(policy.spec.tasks):
        batch = windows.__getitems__(Draw.part(0, torch.nonzero(windows.task == index).squeeze(1)))
        z = policy.embed("language", task.instructions)
        nll, error = policy.evaluate(batch, z[torch.arange(len(batch)) % len(z)])
        found[task.name] = {"nll": nll.mean().item(), "error": error.mean().item()}
    return found


def _mtil(*arguments: str) -> None:
    print("$", " ".join(["mtil", *arguments]), flush=True)
    command = [str(Path(sys.executable).with_name("mtil")), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _report(found: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """One row for each setting, group of tasks, step and sampler."""
    columns = ("tasks", "step", "sampler", "success %", "95% interval", "each seed", "NLL", "action error")
    table = Table(*columns, title=f"{len(options.seeds)} seeds, {options.episodes} placements a task")
    rows = []
    for setting in ("mt10", "opposites"):
        for group in ("rare", "common"):
            for step in STEPS:
                for sampler in SAMPLERS:
                    runs = [run for run in found if (run["setting"], run["sampler"]) == (setting, sampler)]
                    rows.append({"setting": setting, "group": group, "step": step, "sampler": sampler}
                                | _summary(runs, group, step, _episodes(step, options)))  # fmt: skip
                    table.add_row(*_cells(rows[-1]))
            table.add_section()
    Console(width=130).print(table)
    (options.out / "summary.json").write_text(json.dumps(rows, indent=2) + "\n")


def _summary(runs: list[dict[str, Any]], group: str, step: int, episodes: int) -> dict[str, Any]:
    """Means over the seeds; the interval takes each (seed, task) as a stratum of the success rate."""
    of_seed = [
        [point for task, point in run["points"][step].items() if (task in run["rare"]) == (group == "rare")]
        for run in runs
    ]
    successes = np.array([point["successes"] for points in of_seed for point in points])
    low, high = mean_interval(successes, np.full(len(successes), episodes))
    return {
        "rate": float(successes.mean() / episodes),
        "low": float(low),
        "high": float(high),
        "each": [statistics.fmean(point["successes"] for point in points) / episodes for points in of_seed],
        **{key: statistics.fmean(p[key] for points in of_seed for p in points) for key in ("nll", "error")},
    }


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['setting']}, {row['group']}",
        f"{row['step']}",
        row["sampler"],
        f"{100 * row['rate']:.1f}",
        f"{100 * row['low']:.1f} - {100 * row['high']:.1f}",
        ", ".join(f"{100 * rate:.0f}" for rate in row["each"]),
        f"{row['nll']:.2f}",
        f"{row['error']:.4f}",
    ]


if __name__ == "__main__":
    main()
