"""A policy's language model left frozen, adapted by LoRA, or trained whole: success, time and memory of each.

Each arm goes on from the same policies, trained with the model frozen, on the same demonstrations, for as many steps;
the frozen one with them, so that what more steps are worth is not taken for what tuning is. Each training is a process
of its own, whose peak memory the system tells; a step's time is by the moments at which the training's log was written.
Beside success, which from state hardly depends on the sentence, it is counted how many of the held-out sentences have a
z that lies nearest to the sentences of their own task. What is done is not done again.

    python scripts/benchmarks/tuning.py runs/mt50-state --data data/mt50-state \
        --instructions data/instructions/held-out.yaml --out runs/tuning
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import yaml
from rich import box
from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mtil.evaluation.comparison import compare, pooled
from mtil.evaluation.metrics import EvaluationResult, MeanResult
from mtil.evaluation.results import read_json
from mtil.evaluation.retrieval import Retrieval, prototypes, retrieve
from mtil.policies.checkpoint import load_policy

ARMS = {
    "frozen": "{kind: frozen}",
    "lora": "{kind: lora, learning_rate: 3e-4}",
    "full": "{kind: full, learning_rate: 3e-5, layer_decay: 0.9}",
}
MTIL = Path(sys.executable).with_name("mtil")


def main() -> None:
    options = _options()
    for base in options.bases:
        _evaluated(base, options)
        for arm in options.arms:
            _trained(arm, base, options)
            _evaluated(_run(arm, base, options), options)
    _report(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", type=Path, nargs="+", help="Runs to go on from, told by language")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--instructions", type=Path, required=True, help="Sentences that no training has")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--sentences", type=int, default=1, help="Of a task in a batch")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=[], help="Settings of all arms")
    return parser.parse_args()


def _trained(arm: str, base: Path, options: argparse.Namespace) -> None:
    run = _run(arm, base, options)
    if _cost_file(run).exists():
        return
    settings = [
        f"policy.task_encoder.tuning={ARMS[arm]}",
        f"data.sentences_at_once={options.sentences}",
        f"trainer.max_steps={options.steps}",
        f"trainer.validate_every={options.steps}",
        "trainer.progress_bar=false",
        *options.set,
    ]
    process = subprocess.Popen([MTIL, "finetune", base, "--data", options.data, *settings, "--out", run])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{run}: the training ended with status {os.waitstatus_to_exitcode(status)}")
    cost = {"seconds_a_step": _seconds_a_step(run), "peak_gib": usage.ru_maxrss / 2**20}
    _cost_file(run).write_text(json.dumps(cost) + "\n")


def _seconds_a_step(run: Path) -> float:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    began, *_, ended = events.Scalars("train/nll")
    return (ended.wall_time - began.wall_time) / (ended.step - began.step)


def _evaluated(run: Path, options: argparse.Namespace) -> None:
    """On the placements of held-out seeds, told in the sentences of the training, and in others."""
    for told, file in _files(run, options).items():
        if not file.exists():
            other = ["--instructions", options.instructions] if told == "held-out" else []
            protocol = ["--episodes", options.episodes, "--seed", options.evaluation_seed, "--workers", options.workers]
            command = [MTIL, "evaluate", run, *protocol, *other, "--json", file]
            subprocess.run(list(map(str, command)), check=True)


def _report(options: argparse.Namespace) -> None:
    table = Table(box=box.MARKDOWN)
    titles = ("language model", "s a step", "peak GiB", "trained sentences %", "held-out sentences %", "difference")
    for title in (*titles, "held-out sentences known by z"):
        table.add_column(title)
    _row(table, f"before these {options.steps} steps", options.bases, options, cost=False)
    for arm in options.arms:
        _row(table, arm, [_run(arm, base, options) for base in options.bases], options)
    Console(width=200).print(table)


def _row(table: Table, name: str, runs: Sequence[Path], options: argparse.Namespace, *, cost: bool = True) -> None:
    trained, other = (_results(runs, told, options) for told in ("trained", "held-out"))
    gain = compare(other, trained).mean
    costs = [json.loads(_cost_file(run).read_text()) for run in runs] if cost else []
    table.add_row(
        name,
        ", ".join(f"{each['seconds_a_step']:.3f}" for each in costs),
        ", ".join(f"{each['peak_gib']:.2f}" for each in costs),
        _rate(pooled([*trained.values()]).mean),
        _rate(pooled([*other.values()]).mean),
        f"{100 * gain.difference:+.1f} ({100 * gain.low:+.1f}, {100 * gain.high:+.1f})",
        ", ".join(f"{found.correct} of {found.count}" for found in (_known(run, options) for run in runs)),
    )


@torch.no_grad()
def _known(run: Path, options: argparse.Namespace) -> Retrieval:
    """The held-out sentences by the trained ones that their z lies nearest to."""
    policy, told = load_policy(run).policy, yaml.safe_load(options.instructions.read_text())
    trained = {task.name: policy.embed("language", task.instructions) for task in policy.spec.tasks}
    return retrieve({task: policy.embed("language", told[task]) for task in trained}, prototypes(trained))


def _rate(mean: MeanResult) -> str:
    return f"{100 * mean.rate:.1f} ({100 * mean.low:.1f} - {100 * mean.high:.1f})"


def _results(runs: Sequence[Path], told: str, options: argparse.Namespace) -> dict[Path, EvaluationResult]:
    files = [_files(run, options)[told] for run in runs]
    return {file: read_json(file) for file in files}


def _files(run: Path, options: argparse.Namespace) -> dict[str, Path]:
    folder = options.out / "results"
    folder.mkdir(parents=True, exist_ok=True)
    return {told: folder / f"{run.name}-{told}-seed-{options.evaluation_seed}.json" for told in ("trained", "held-out")}


def _run(arm: str, base: Path, options: argparse.Namespace) -> Path:
    return options.out / f"{arm}-{base.name}"


def _cost_file(run: Path) -> Path:
    return run / "cost.json"


if __name__ == "__main__":
    main()
