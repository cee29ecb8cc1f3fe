"""What image encoders that were trained on other tasks' demonstrations are worth for new tasks with few: curves.

A policy of other tasks is given. Four arms train on the same demonstrations for as many steps: from scratch; with its
image encoders; with these and its task encoder, whose z modulates them; and with all of it. Their checkpoints along the
way are evaluated on the same placements. What is done is not done again.

    mtil train mt10-pixels data.path=data/mt10-small trainer.threads=1 collection.episodes_per_task=25 \
        collection.cameras.{corner,corner2,gripperPOV}.size=48 trainer.max_steps=3000 --out runs/mt10-small
    mtil collect metaworld-mt50 --tasks bin-picking-v3,box-close-v3,door-lock-v3,door-unlock-v3,hand-insert-v3 \
        --episodes-per-task 10 --noise 0.1 --steps-after-success 15 --max-steps 160 --camera corner,corner2,gripperPOV \
        --image-size 48 --crop corner=0.2,0.17,0.85,0.82 --crop corner2=0.31,0.34,0.75,0.78 --out data/new-small
    python scripts/benchmarks/pretrained_vision.py runs/mt10-small --suite metaworld-mt50 --data data/new-small \
        --out runs/vision
"""

import argparse
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.data.formats import open_tasks
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.comparison import pooled
from mtil.evaluation.results import read_json
from mtil.evaluation.settings import EvaluationSettings
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train
from mtil.training.finetune import finetuning

CAMERAS, TOLD = "observation_encoder.cameras.*", "task_encoders.*"
ARMS = {
    "scratch": ["start=null"],
    "image-encoders": [f"start.parts=[{CAMERAS}]"],
    "with-task-encoder": [f"start.parts=[{CAMERAS},{TOLD}]"],
    "whole": [],
}


def main() -> None:
    options = _options()
    tasks = tuple(file.task.name for file in open_tasks(options.data))
    for arm in options.arms:
        for seed in options.seeds:
            run = options.out / f"{arm}-{seed}"
            if not (run / "checkpoints" / f"step-{options.steps}.ckpt").exists():
                train(_config(arm, seed, options), run, resume=run.exists(), console=Console())
            for step in _steps(options):
                file = _file(arm, seed, step, options)
                if not file.exists():
                    settings = EvaluationSettings(
                        suite=options.suite, episodes=options.episodes, seed=options.evaluation_seed, tasks=tasks
                    )
                    checkpoint = run / "checkpoints" / f"step-{step}.ckpt"
                    evaluate_checkpoint(checkpoint, settings, workers=options.workers, json=file)
    _report(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path, help="A run on other tasks")
    parser.add_argument("--data", type=Path, required=True, help="Demonstrations of the new tasks")
    parser.add_argument("--suite", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--every", type=int, default=500, help="Steps between evaluated checkpoints")
    parser.add_argument("--episodes", type=int, default=20, help="Of each task")
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--set", nargs="*", default=["optimizer.learning_rate=1e-3"], help="Settings of all arms")
    return parser.parse_args()


def _config(arm: str, seed: int, options: argparse.Namespace) -> ExperimentConfig:
    shared = [f"seed={seed}", f"suite={options.suite}", "data.validation_fraction=0", "trainer.progress_bar=false"]
    steps = [f"trainer.max_steps={options.steps}", f"trainer.keep_every={options.every}"]
    return finetuning(options.base, options.data, [*shared, *steps, *ARMS[arm], *options.set])


def _steps(options: argparse.Namespace) -> range:
    return range(options.every, options.steps + 1, options.every)


def _file(arm: str, seed: int, step: int, options: argparse.Namespace) -> Path:
    return options.out / "results" / f"{arm}-{seed}-step-{step}-seed-{options.evaluation_seed}.json"


def _report(options: argparse.Namespace) -> None:
    """Mean success over tasks and seeds by step; and of the last step, its interval and each task."""
    table = Table(box=box.MARKDOWN)
    for title in ("taken over", *(f"{step:,} steps" for step in _steps(options)), "95% interval", "each seed"):
        table.add_column(title)
    tasks = [file.task.name for file in open_tasks(options.data)]
    for task in tasks:
        table.add_column(task)
    for arm in options.arms:
        found = [
            pooled([read_json(_file(arm, seed, step, options)) for seed in options.seeds]) for step in _steps(options)
        ]
        last = found[-1]
        table.add_row(
            arm,
            *(f"{100 * each.mean.rate:.1f}" for each in found),
            f"{100 * last.mean.low:.1f} - {100 * last.mean.high:.1f}",
            ", ".join(f"{100 * rate:.1f}" for rate in last.seeds),
            *(f"{100 * task.rate:.0f}" for task in last.tasks),
        )
    Console(width=220).print(table)


if __name__ == "__main__":
    main()
