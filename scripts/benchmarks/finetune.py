"""Fine-tune policies on a few demonstrations of new tasks, beside training on these alone: gain, and forgetting.

For each policy (of one training, several seeds) and each number of demonstrations there are three arms: `alone`, from
scratch; `fine-tuned`; and `rehearsed`, with the earlier tasks' demonstrations as half of each batch. What has been
trained and evaluated is not done again: policies may be given one by one, to several processes, and then all together.

    for n in 1 5 10; do
        mtil collect metaworld-mt50 --tasks bin-picking-v3,box-close-v3,door-lock-v3,door-unlock-v3,hand-insert-v3 \
            --episodes-per-task $n --noise 0.1 --steps-after-success 15 --max-steps 160 --out data/new-$n
    done
    python scripts/benchmarks/finetune.py runs/ml45-0 runs/ml45-1 runs/ml45-2 --suite metaworld-mt50 \
        --demos 1=data/new-1 5=data/new-5 10=data/new-10 --rehearse data/ml45-state --out runs/finetune
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.config import read
from mtil.data.formats import open_tasks
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.comparison import compare, pooled
from mtil.evaluation.comparison_table import print_comparison
from mtil.evaluation.metrics import EvaluationResult, MeanResult
from mtil.evaluation.results import read_json
from mtil.evaluation.settings import EvaluationSettings
from mtil.policies.checkpoint import load_policy
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train
from mtil.training.finetune import finetuning

ARMS = ("alone", "fine-tuned", "rehearsed")


def main() -> None:
    options = _options()
    demos = dict(each.split("=", 1) for each in options.demos)
    for base in options.bases:
        _evaluated(base, base, options, old=True)
        for count, data in demos.items():
            for arm in options.arms:
                run = options.out / f"{arm}-{count}-{base.name}"
                if not (run / "checkpoints" / "last.ckpt").exists() or _unfinished(run):
                    train(_config(arm, base, Path(data), options), run, resume=run.exists(), console=Console())
                _evaluated(run, base, options, old=arm != "alone" and count == options.forgetting)
    _report(options, list(demos))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", type=Path, nargs="+", help="Runs to fine-tune")
    parser.add_argument("--demos", nargs="+", required=True, metavar="NUMBER=DATA")
    parser.add_argument("--rehearse", type=Path, required=True, help="Demonstrations of the earlier tasks")
    parser.add_argument("--suite", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument(
        "--forgetting", default="5", metavar="NUMBER", help="Demos at which earlier tasks are evaluated"
    )
    parser.add_argument("--episodes", type=int, default=50, help="Of each new task")
    parser.add_argument("--old-episodes", type=int, default=20, help="Of each earlier task, and of the new ones beside")
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--alone", nargs="*", default=["trainer.max_steps=5000"], help="Settings of training alone")
    parser.add_argument("--set", nargs="*", default=[], help="Settings of all arms")
    return parser.parse_args()


def _config(arm: str, base: Path, data: Path, options: argparse.Namespace) -> ExperimentConfig:
    shared = [f"suite={options.suite}", "data.validation_fraction=0", "trainer.progress_bar=false", *options.set]
    if arm == "alone":
        own = [f"data.path={data}", "collection=null", *options.alone]
        return read(ExperimentConfig, base / "config.yaml", [*own, *shared])
    seed = read(ExperimentConfig, base / "config.yaml").seed
    rehearsal = [f"data.rehearsal.path={options.rehearse}"] if arm == "rehearsed" else []
    return finetuning(base, data, [f"seed={seed}", *rehearsal, *shared])


def _unfinished(run: Path) -> bool:
    return load_policy(run).step < read(ExperimentConfig, run / "config.yaml").trainer.max_steps


def _evaluated(run: Path, base: Path, options: argparse.Namespace, *, old: bool) -> None:
    """Evaluate a run on the new tasks, and perhaps on all, in fewer episodes of each."""
    new, seed = _new(options), options.evaluation_seed
    wanted = {"new": (new, options.episodes)}
    if old:
        wanted["all"] = ([*load_policy(base).policy.spec.task_names, *new], options.old_episodes)
    for name, (tasks, episodes) in wanted.items():
        file = _file(run, name, options)
        if not file.exists():
            settings = EvaluationSettings(suite=options.suite, episodes=episodes, seed=seed, tasks=tuple(tasks))
            evaluate_checkpoint(run, settings, workers=options.workers, json=file)


def _new(options: argparse.Namespace) -> list[str]:
    """The new tasks."""
    return [file.task.name for file in open_tasks(Path(options.demos[0].split("=", 1)[1]))]


def _file(run: Path, name: str, options: argparse.Namespace) -> Path:
    return options.out / "results" / f"{run.name}-{name}-seed-{options.evaluation_seed}.json"


def _report(options: argparse.Namespace, demos: Sequence[str]) -> None:
    table = Table(box=box.MARKDOWN)
    for title in ("demos a task", "arm", "new tasks %", "95% interval", "each seed", *_new(options)):
        table.add_column(title)
    _row(table, "0", "before", _results(options.bases, "new", options))
    for count in demos:
        for arm in options.arms:
            _row(table, count, arm, _results(_runs(arm, count, options), "new", options))
    console = Console(width=220)
    console.print(table)
    for arm in [arm for arm in options.arms if arm != "alone"]:
        for count in demos if "alone" in options.arms else ():
            ours, alone = (_results(_runs(each, count, options), "new", options) for each in (arm, "alone"))
            gain = compare(ours, alone).mean
            interval = f"{100 * gain.low:+.1f}, {100 * gain.high:+.1f}"
            console.print(f"{arm} less alone, {count} demos: {100 * gain.difference:+.1f} points ({interval})")
    for arm in [arm for arm in options.arms if arm != "alone"]:
        console.print(f"\n{arm}, {options.forgetting} demos, after and before:")
        after = _results(_runs(arm, options.forgetting, options), "all", options)
        print_comparison(compare(after, _results(options.bases, "all", options)))


def _runs(arm: str, count: str, options: argparse.Namespace) -> list[Path]:
    return [options.out / f"{arm}-{count}-{base.name}" for base in options.bases]


def _results(runs: Sequence[Path], name: str, options: argparse.Namespace) -> dict[Path, EvaluationResult]:
    files = [_file(run, name, options) for run in runs]
    return {file: read_json(file) for file in files}


def _row(table: Table, count: str, arm: str, results: dict[Path, EvaluationResult]) -> None:
    found = pooled([*results.values()])
    table.add_row(
        count,
        arm,
        f"{100 * found.mean.rate:.1f}",
        _interval(found.mean),
        ", ".join(f"{100 * rate:.1f}" for rate in found.seeds),
        *(f"{100 * task.rate:.0f}" for task in found.tasks),
    )


def _interval(mean: MeanResult) -> str:
    return f"{100 * mean.low:.1f} - {100 * mean.high:.1f}"


if __name__ == "__main__":
    main()
