"""Does stratifying the batches over tasks help? Imbalanced data, stratified against uniform sampling, side by side.

Half of the ten tasks of MT10 have 50 demonstrations, half have 5 (odd seeds exchange the halves); and the opposites
window-open and window-close alone, one with 50 and the other with 5. Each seed has demonstrations and trainings of its
own, and its trainings differ in the sampler alone. Measured: success on placements never trained on, at the end; along
the way, NLL and action error of demonstrations never trained on (another collection, ten a task), and the variance of
the gradient of batches drawn in several ways (`mtil diagnose`). What is done already is not done again.

    python scripts/benchmarks/stratification.py --seeds 0,1,2 --out runs/stratification
"""

import argparse
import itertools
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
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from mtil.data.sampling import Draw
from mtil.data.store import DemoStore
from mtil.data.window_dataset import WindowDataset
from mtil.evaluation.metrics import mean_interval
from mtil.evaluation.results import read_json
from mtil.policies.checkpoint import load_policy
from mtil.sim.base import load

SUITE = "metaworld-mt10"
MANY, FEW, HELD_OUT = 50, 5, 10
OPPOSITES = ["window-open-v3", "window-close-v3"]
SAMPLERS = {"uniform": "data.sampling.kind=uniform", "stratified": "data.sampling.alpha=0"}
STEPS = (1000, 2000, 3000, 4000, 5000)
DIAGNOSED = (1000, 5000)


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
    variances = [row for setting in settings for step in DIAGNOSED for row in _variances(setting, step, options)]
    (options.out / "runs.json").write_text(json.dumps({"runs": found, "variances": variances}, indent=2) + "\n")
    rows = _report(found, options)
    _report_variances(variances)
    if options.plot:
        _plot(rows, options.plot)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--batches", type=int, default=200, help="of each way of drawing them, for the variance")
    parser.add_argument("--parallel", type=int, default=2, help="trainings at once, each with one thread")
    parser.add_argument("--out", type=Path, default=Path("runs/stratification"))
    parser.add_argument("--plot", type=Path, help="draw the learning curves to this file")
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
    checkpoints = {step: run / "checkpoints" / f"step-{step}.ckpt" for step in STEPS}
    curve = {step: _losses(path, setting, options.out / "held-out") for step, path in checkpoints.items()}
    return {"setting": setting.name, "sampler": sampler, "seed": setting.seed, "rare": setting.rare, "curve": curve,
            "successes": _successes(run, checkpoints[STEPS[-1]], setting, options)}  # fmt: skip


def _variances(setting: Setting, step: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Variance of batches drawn in each way, at a checkpoint of the stratified training."""
    checkpoint = options.out / f"{setting.name}-stratified-{setting.seed}" / "checkpoints" / f"step-{step}.ckpt"
    result = checkpoint.parents[1] / f"gradients-{step}.json"
    if not result.exists():
        _mtil("diagnose", str(checkpoint), "--batches", str(options.batches), "--json", str(result))
    objectives = json.loads(result.read_text())["interference"]["objectives"]
    place = {"setting": setting.name, "seed": setting.seed, "step": step}
    return [place | {"objective": each["objective"]} | scheme for each in objectives for scheme in each["schemes"]]


def _successes(run: Path, checkpoint: Path, setting: Setting, options: argparse.Namespace) -> dict[str, int]:
    result = run / f"success-{checkpoint.stem}.json"
    if not result.exists():
        _mtil("evaluate", str(checkpoint), "--tasks", ",".join(setting.tasks), "--episodes", str(options.episodes),
              "--seed", str(options.evaluation_seed), "--workers", "1", "--json", str(result))  # fmt: skip
    return {task.task: task.successes for task in read_json(result).tasks}


@torch.no_grad()
def _losses(checkpoint: Path, setting: Setting, held_out: Path) -> dict[str, dict[str, float]]:
    """Mean NLL and action error of the held-out demonstrations of every task, told by each of its sentences in turn."""
    policy = load_policy(checkpoint).policy
    store = DemoStore.open(held_out, tasks=policy.spec.task_names)
    windows = WindowDataset(store, torch.arange(len(store.length)), history=1, chunk=1, kinds={"language": 1.0}, seed=0)
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


def _report(found: list[dict[str, Any]], options: argparse.Namespace) -> list[dict[str, Any]]:
    """One row for each setting, group of tasks, and sampler."""
    curves = [f"{step:,}" for step in STEPS]
    table = Table("tasks", "sampler", "success %", "95% interval", "each seed", *curves, caption="error at each step")
    rows = []
    for setting, group in itertools.product(("mt10", "opposites"), ("rare", "common")):
        for sampler in SAMPLERS:
            runs = [run for run in found if (run["setting"], run["sampler"]) == (setting, sampler)]
            name = {"setting": setting, "group": group, "sampler": sampler}
            rows.append(name | _summary(runs, group, options.episodes))
            table.add_row(*_cells(rows[-1]))
        table.add_section()
    Console(width=140).print(table)
    (options.out / "summary.json").write_text(json.dumps(rows, indent=2) + "\n")
    return rows


def _summary(runs: list[dict[str, Any]], group: str, episodes: int) -> dict[str, Any]:
    """Means over the seeds; the interval takes each (seed, task) as a stratum of the success rate."""
    chosen = [[task for task in run["successes"] if (task in run["rare"]) == (group == "rare")] for run in runs]
    rates = [[run["successes"][task] / episodes for task in tasks] for run, tasks in zip(runs, chosen, strict=True)]
    every = np.array([rate for of_seed in rates for rate in of_seed])
    low, high = mean_interval((every * episodes).round(), np.full(len(every), episodes))
    curves = {
        key: {
            step: statistics.fmean(
                run["curve"][step][task][key] for run, tasks in zip(runs, chosen, strict=True) for task in tasks
            )
            for step in STEPS
        }
        for key in ("nll", "error")
    }
    return {
        "rate": float(every.mean()),
        "low": low,
        "high": high,
        "each": [statistics.fmean(r) for r in rates],
    } | curves


def _cells(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['setting']}, {row['group']}",
        row["sampler"],
        f"{100 * row['rate']:.1f}",
        f"{100 * row['low']:.1f} - {100 * row['high']:.1f}",
        ", ".join(f"{100 * rate:.0f}" for rate in row["each"]),
        *(f"{error:.4f}" for error in row["error"].values()),
    ]


def _report_variances(found: list[dict[str, Any]]) -> None:
    """How much more the gradients of other batches vary than those of stratified ones of the same objective."""
    table = Table("tasks", "step", "objective", "batches", "variance / stratified: seed [95% interval]", "theory")
    keys = ("setting", "step", "objective", "scheme")
    for key in dict.fromkeys(tuple(row[k] for k in keys) for row in found if row["scheme"] != "stratified"):
        rows = [row for row in found if tuple(row[k] for k in keys) == key]
        measured = "  ".join(f"{r['ratio']:.2f} [{r['ratio_low']:.2f}, {r['ratio_high']:.2f}]" for r in rows)
        theory = ", ".join(f"{_theory(row, found):.2f}" for row in rows)
        table.add_row(key[0], str(key[1]), *key[2:], measured, theory)
    Console(width=170).print(table)


def _plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Action error and NLL of held-out demonstrations over the steps; where rare, solid, where common, dashed."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    axes = figure.subplots(2, 2, sharex=True)
    for row in rows:
        style = {"color": f"C{list(SAMPLERS).index(row['sampler'])}", "ls": "-" if row["group"] == "rare" else "--"}
        column = ("mt10", "opposites").index(row["setting"])
        for panel, key, title in zip(axes[:, column], ("error", "nll"), ("action error", "NLL"), strict=True):
            panel.plot(STEPS, list(row[key].values()), label=f"{row['sampler']}, {row['group']} tasks", **style)
            panel.set_title(f"{'MT10' if column == 0 else 'two opposites'}: {title}")
    axes[0, 0].set_yscale("log")
    axes[0, 1].set_yscale("log")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    for panel in axes[1]:
        panel.set_xlabel("training step")
    figure.savefig(path)


def _theory(row: dict[str, Any], found: list[dict[str, Any]]) -> float:
    same = ("setting", "seed", "step", "objective")
    base = next(r for r in found if r["scheme"] == "stratified" and all(r[k] == row[k] for k in same))
    return (row["expected_within"] + row["expected_between"]) / (base["expected_within"] + base["expected_between"])


if __name__ == "__main__":
    main()
