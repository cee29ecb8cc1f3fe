"""Draw success against demonstrations per task, from runs that `compare.py` has trained and evaluated.

A line is a group of tasks (LeRobot's groups of Meta-World's by how hard they are, if no other is named), a point the
mean over its tasks and over the seeds that are there, with its 95% interval.

    python scripts/benchmarks/compare.py --preset mt50-state --seeds 0,1,2 --out runs/mt50 \
        "1=collection.episodes_per_task=1 trainer.max_steps=2000" \
        "5=collection.episodes_per_task=5 trainer.max_steps=3000" 25
    python scripts/benchmarks/demos_curve.py runs/mt50 --demos 1,5,25 --plot docs/mt50-demos.svg
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from rich import box
from rich.console import Console
from rich.table import Table

from mtil.evaluation.comparison import PooledResult, pooled
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import results_of

GROUPS = {
    "medium": "basketball bin-picking box-close coffee-pull coffee-push hammer peg-insert-side push-wall soccer sweep "
    "sweep-into",
    "hard": "assembly hand-insert pick-out-of-hole pick-place push push-back",
    "very hard": "shelf-place disassemble stick-pull stick-push pick-place-wall",
}
EASY = "easy"


def main() -> None:
    options = _options()
    found = {
        demos: pooled([_result(run, options.evaluation_seed) for run in sorted(options.runs.glob(f"{demos}-*"))])
        for demos in options.demos
    }
    _print(found)
    _draw(found).savefig(options.plot, metadata={"Date": None})


def _options() -> argparse.Namespace:
    numbers = lambda text: [int(number) for number in text.split(",")]  # noqa: E731
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="Folder of runs DEMOS-SEED")
    parser.add_argument("--demos", type=numbers, required=True)
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--plot", type=Path, required=True)
    return parser.parse_args()


def _result(run: Path, seed: int) -> EvaluationResult:
    """The run's own evaluation on the placements of a seed: neither a control nor other sentences."""
    for result in results_of(run).values():
        how = result.protocol
        if how.seed == seed and how.control is None and how.instructions is None and how.replay is None:
            return result
    raise SystemExit(f"demos_curve: {run}: has no evaluation of seed {seed}; make one with: mtil evaluate {run}")


def _group(task: str) -> str:
    name = task.removesuffix("-v3")
    return next((group for group, names in GROUPS.items() if name in names.split()), EASY)


def _rates(found: PooledResult) -> dict[str, float]:
    """Mean rate of each group, the easiest first."""
    groups = {group: [task.rate for task in found.tasks if _group(task.task) == group] for group in (EASY, *GROUPS)}
    return {group: sum(rates) / len(rates) for group, rates in groups.items() if rates}


def _print(found: dict[int, PooledResult]) -> None:
    table = Table(box=box.MARKDOWN)
    for title in ("demos a task", "success %", "95% interval", "each seed", *(EASY, *GROUPS), "weakest tasks"):
        table.add_column(title)
    for demos, result in found.items():
        weakest = sorted(result.tasks, key=lambda task: task.rate)[:5]
        table.add_row(
            str(demos),
            f"{100 * result.mean.rate:.1f}",
            f"{100 * result.mean.low:.1f} - {100 * result.mean.high:.1f}",
            ", ".join(f"{100 * rate:.1f}" for rate in result.seeds),
            *(f"{100 * rate:.1f}" for rate in _rates(result).values()),
            ", ".join(f"{task.task.removesuffix('-v3')} {100 * task.rate:.0f}" for task in weakest),
        )
    Console(width=200).print(table)


def _draw(found: dict[int, PooledResult]) -> Figure:
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    demos: Sequence[int] = list(found)
    for group in _rates(found[demos[0]]):
        axes.plot(demos, [100 * _rates(found[n])[group] for n in demos], marker=".", linewidth=1, label=group)
    means = [result.mean for result in found.values()]
    axes.plot(demos, [100 * mean.rate for mean in means], color="black", marker="o", label="all fifty")
    axes.fill_between(
        demos, [100 * mean.low for mean in means], [100 * mean.high for mean in means], color="black", alpha=0.15
    )
    axes.set_xscale("log")
    axes.set_xticks(demos, [str(n) for n in demos])
    axes.minorticks_off()
    axes.set_ylim(0, 100)
    axes.set_xlabel("demonstrations a task")
    axes.set_ylabel("success on held-out placements, %")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    return figure


if __name__ == "__main__":
    main()
