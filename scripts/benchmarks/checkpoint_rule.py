"""Does validation predict success? Which checkpoint of a run should be kept?

Every checkpoint that the runs kept (`trainer.keep_every`) is rolled out twice: on placements of the judging seed, which
say how well it does, and on those of the choosing seed, on which a rule may look for the best. So no rule is judged on
the placements that it chose by. Asked are

- in what order the checkpoints of a run stand by what training and validation measured at the same step, by the step
  itself, and by the other rollouts, and how well that agrees with their order by success (rank correlation: 1, the
  same; the losses are negated), pooled over pairs of checkpoints within runs;
- what success the checkpoint has that each rule picks.

Intervals (95%) are of a bootstrap: of checkpoints within runs and placements within tasks for correlations, of
placements for the rules. Results are kept in the runs' folders `evaluation`: what is done already is not done again.

    mtil train mt10-state trainer.keep_every=500 --out runs/kept-0
    python scripts/benchmarks/checkpoint_rule.py runs/kept-0 --episodes 20
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from rank_correlation import Score, correlation, kendall, spearman
from rich import box
from rich.console import Console
from rich.table import Table

from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import results_of
from mtil.evaluation.settings import EvaluationSettings

LOSSES = {"training NLL": "train/nll", "validation NLL": "val/nll", "validation action error": "val/action_error"}
STEP, ROLLOUT = "step", "success on other placements"
RULES = {
    "last": STEP,
    "lowest validation NLL": "validation NLL",
    "lowest validation action error": "validation action error",
    "best on other placements": ROLLOUT,
}


@dataclass(frozen=True)
class Run:
    """The kept checkpoints of a run (C), its tasks (T), and episodes (E) of each.

    Attributes:
        name: Of its folder.
        tasks: Their names.
        steps: Of the checkpoints, rising.
        measures: What might predict success, by name, by task; the higher, the better.
        chosen: Success on the placements to choose by.
        judged: Success on the placements to judge by.
    """

    name: str
    tasks: list[str]
    steps: Int[np.ndarray, " C"]
    measures: dict[str, Float[np.ndarray, "T C"]]
    chosen: Bool[np.ndarray, "C T E"]
    judged: Bool[np.ndarray, "C T E"]


@dataclass(frozen=True)
class Resample:
    """What a bootstrap drew: checkpoints of each run, and of each task episodes of both kinds."""

    checkpoints: list[Int[np.ndarray, " C"]]
    choosing: Int[np.ndarray, "T E"]
    judging: Int[np.ndarray, "T E"]


def main() -> None:
    options = _options()
    runs = [_run(path, options) for path in options.runs]
    if len({(*run.tasks,) for run in runs}) > 1:
        sys.exit("checkpoint_rule: the runs have different tasks; compare those of the same")
    for run in runs:
        _print_run(run)
    rng = np.random.default_rng(0)
    resamples = [_resample(runs, rng) for _ in range(options.resamples)]
    found = {"correlation": _correlations(runs, resamples), "rules": _rules(runs, resamples)}
    print(f"{len(runs)} runs, {options.episodes} episodes a task and seed; chosen on seed {options.choosing_seed}, "
          f"judged on seed {options.judging_seed}", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, help="run directories trained with trainer.keep_every")
    parser.add_argument("--episodes", type=int, default=20, help="of each task, for each seed")
    parser.add_argument("--choosing-seed", type=int, default=100)
    parser.add_argument("--judging-seed", type=int, default=101)
    parser.add_argument("--workers", type=int)
    parser.add_argument("--resamples", type=int, default=1000, help="of the bootstrap")
    parser.add_argument("--json", type=Path, help="write coefficients and rules to this file")
    return parser.parse_args()


def _run(path: Path, options: argparse.Namespace) -> Run:
    files = {int(match[1]): file for file in (path / "checkpoints").glob("step-*.ckpt")
             if (match := re.fullmatch(r"step-(\d+)", file.stem))}  # fmt: skip
    if len(files) < 2:
        sys.exit(
            f"checkpoint_rule: {path}: expected checkpoints/step-N.ckpt, two at least; train with trainer.keep_every"
        )
    steps = sorted(files)
    chosen, judged = (
        [_evaluated(files[step], path, step, seed, options) for step in steps]
        for seed in (options.choosing_seed, options.judging_seed)
    )
    tasks = [task.task for task in judged[0].tasks]
    measures = {name: -_logged(path, column, steps, tasks) for name, column in LOSSES.items()}
    measures[STEP] = np.tile(np.array(steps, float), (len(tasks), 1))
    picked = _successes(chosen, tasks)
    return Run(path.name, tasks, np.array(steps), measures, picked, _successes(judged, tasks))


def _evaluated(file: Path, run: Path, step: int, seed: int, options: argparse.Namespace) -> EvaluationResult:
    """The result of a checkpoint: the one in the run's folder, or a new one."""
    wanted = (step, seed, options.episodes, None, None, None)
    for result in results_of(run).values():
        p = result.protocol
        if (p.step, p.seed, p.episodes_per_task, p.control, p.instructions, p.replay) == wanted:
            return result
    settings = EvaluationSettings(episodes=options.episodes, seed=seed)
    return evaluate_checkpoint(file, settings, workers=options.workers)


def _logged(run: Path, column: str, steps: Sequence[int], tasks: Sequence[str]) -> Float[np.ndarray, "T C"]:
    """A column of the log for each task, at the checkpoints' steps."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = {int(row["step"]): row for row in csv.DictReader(file) if row[column]}
    for step in steps:
        if step not in rows:
            sys.exit(f"checkpoint_rule: {run}: no {column} at step {step}; train with trainer.log_every and "
                     "trainer.validate_every that divide trainer.keep_every")  # fmt: skip
    return np.array([[float(rows[step][f"{column}/{task}"]) for step in steps] for task in tasks])


def _successes(results: Sequence[EvaluationResult], tasks: Sequence[str]) -> Bool[np.ndarray, "C T E"]:
    return np.array([[[o.success for o in r.outcomes if o.task == task] for task in tasks] for r in results])


def _resample(runs: Sequence[Run], rng: np.random.Generator) -> Resample:
    shape = runs[0].judged.shape[1:]
    choosing, judging = (rng.integers(shape[1], size=shape) for _ in range(2))
    return Resample([rng.integers(len(run.steps), size=len(run.steps)) for run in runs], choosing, judging)


def _itself(runs: Sequence[Run]) -> Resample:
    """What was found, as a resample."""
    every = np.tile(np.arange(runs[0].judged.shape[2]), (len(runs[0].tasks), 1))
    return Resample([np.arange(len(run.steps)) for run in runs], every, every)


def _rates(success: Bool[np.ndarray, "C T E"], episodes: Int[np.ndarray, "T E"]) -> Float[np.ndarray, "T C"]:
    return np.take_along_axis(success, episodes[None], axis=2).mean(2).T


def _measure(run: Run, name: str, drawn: Resample) -> Float[np.ndarray, "T C"]:
    return _rates(run.chosen, drawn.choosing) if name == ROLLOUT else run.measures[name]


def _agreement(runs: Sequence[Run], name: str, score: Score, drawn: Resample) -> float:
    """Correlation of a measure's mean over tasks with that of success."""
    return correlation(
        [
            (_measure(run, name, drawn).mean(0)[rows], _rates(run.judged, drawn.judging).mean(0)[rows])
            for run, rows in zip(runs, drawn.checkpoints, strict=True)
        ],
        score,
    )


def _task_agreements(runs: Sequence[Run], name: str) -> dict[str, float]:
    """Spearman's coefficient of each task whose success varies."""
    drawn = _itself(runs)
    found = {
        task: correlation(
            [(_measure(run, name, drawn)[t], _rates(run.judged, drawn.judging)[t]) for run in runs], spearman
        )
        for t, task in enumerate(runs[0].tasks)
    }
    return {task: value for task, value in found.items() if not np.isnan(value)}


def _correlations(runs: Sequence[Run], resamples: Sequence[Resample]) -> list[dict[str, Any]]:
    """Print and return how each measure agrees with success."""
    table = Table(
        "ordered by", "Spearman", "95% interval", "Kendall", "95% interval", "each run", "tasks", box=box.MARKDOWN
    )
    rows = [_correlated(runs, name, resamples) for name in (*LOSSES, STEP, ROLLOUT)]
    for row in rows:
        tasks = list(row["tasks"].values())
        table.add_row(
            row["measure"], f"{row['spearman']:.2f}", _span(row["spearman_interval"]), f"{row['kendall']:.2f}",
            _span(row["kendall_interval"]), ", ".join(f"{value:.2f}" for value in row["each"]),
            f"{np.median(tasks):.2f} ({len(tasks)})" if tasks else "-",
        )  # fmt: skip
    Console(width=160).print(table)
    print("each run: Spearman; tasks: its median over those whose success varies within a run, and their number")
    return rows


def _correlated(runs: Sequence[Run], name: str, resamples: Sequence[Resample]) -> dict[str, Any]:
    row: dict[str, Any] = {"measure": name}
    for score in (spearman, kendall):
        row[score.__name__] = _agreement(runs, name, score, _itself(runs))
        drawn = [_agreement(runs, name, score, resample) for resample in resamples]
        row[f"{score.__name__}_interval"] = _interval(drawn)
    row["each"] = [_agreement([run], name, spearman, _itself([run])) for run in runs]
    return row | {"tasks": _task_agreements(runs, name)}


def _rules(runs: Sequence[Run], resamples: Sequence[Resample]) -> list[dict[str, Any]]:
    """Print and return the success of what each rule picks, and by how much it exceeds that of the last checkpoint."""
    picks = {rule: [_pick(_measure(run, name, _itself(runs)).mean(0)) for run in runs] for rule, name in RULES.items()}
    flattered = [_pick(_rates(run.judged, _itself(runs).judging).mean(0)) for run in runs]
    table = Table("rule", "steps", "success %", "each run", "above the last", "95% interval", box=box.MARKDOWN)
    rows = []
    for rule, chosen in (picks | {"best on the judging placements (flattered)": flattered}).items():
        each = [float(run.judged[c].mean()) for run, c in zip(runs, chosen, strict=True)]
        gains = [_gain(runs, chosen, picks["last"], drawn) for drawn in (_itself(runs), *resamples)]
        steps = [int(run.steps[c]) for run, c in zip(runs, chosen, strict=True)]
        row = {"rule": rule, "steps": steps, "each": each, "gain": gains[0], "interval": _interval(gains[1:])}
        rows.append(row)
        table.add_row(
            rule, ", ".join(f"{step:,}" for step in steps), f"{100 * fmean(each):.1f}",
            ", ".join(f"{100 * rate:.1f}" for rate in each), f"{100 * gains[0]:+.1f}",
            _span([100 * end for end in row["interval"]], digits=1),
        )  # fmt: skip
    Console(width=160).print(table)
    return rows


def _pick(measure: Float[np.ndarray, " C"]) -> int:
    """The best, and of equals the last."""
    return int(np.flatnonzero(measure == measure.max())[-1])


def _gain(runs: Sequence[Run], chosen: Sequence[int], last: Sequence[int], drawn: Resample) -> float:
    rates = [_rates(run.judged, drawn.judging).mean(0) for run in runs]
    return fmean(float(rate[a] - rate[b]) for rate, a, b in zip(rates, chosen, last, strict=True))


def _interval(values: Sequence[float]) -> list[float]:
    known = [value for value in values if not np.isnan(value)]
    return [float(end) for end in np.percentile(known, [2.5, 97.5])] if known else [float("nan")] * 2


def _span(interval: Sequence[float], *, digits: int = 2) -> str:
    low, high = (f"{end:.{digits}f}" for end in interval)
    return f"{low} to {high}"


def _print_run(run: Run) -> None:
    table = Table("step", *LOSSES, "success %, choosing", "judging", title=run.name, box=box.MARKDOWN)
    for c, step in enumerate(run.steps):
        losses = [f"{-run.measures[name].mean(0)[c]:.4f}" for name in LOSSES]
        rates = [f"{100 * success[c].mean():.1f}" for success in (run.chosen, run.judged)]
        table.add_row(f"{step:,}", *losses, *rates)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
