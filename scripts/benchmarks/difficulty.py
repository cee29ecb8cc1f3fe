"""An evaluation of MT50 as the literature tables it: four groups of tasks by difficulty, and the mean of the four.

The groups are those of Seo et al. 2022 ("Masked World Models for Visual Control", arXiv:2206.14244), which
SmolVLA's table uses, too. A group weighs the same however many tasks it has: the five hardest count as much as the 28
easiest. The 95% interval is normal, its variance that of independent groups of independent tasks.

    python scripts/benchmarks/difficulty.py runs/mt50-pixels/evaluation/RESULT.json
"""

import argparse
import math
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from mtil.errors import MtilError
from mtil.evaluation.metrics import TaskResult, mean_result
from mtil.evaluation.results import read_json

GROUPS = {
    "medium": "basketball bin-picking box-close coffee-pull coffee-push hammer peg-insert-side push-wall soccer sweep "
    "sweep-into",
    "hard": "assembly hand-insert pick-out-of-hole pick-place push push-back",
    "very hard": "disassemble pick-place-wall shelf-place stick-pull stick-push",
}
EASY = "easy"  # all the others


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="+", help="of `mtil evaluate` on metaworld-mt50")
    table = Table("result", EASY, *GROUPS, "mean of the four", "95% interval", "mean of the tasks")
    for path in parser.parse_args().results:
        tasks = read_json(path).tasks
        if len(tasks) != 50:
            raise MtilError(f"{path}: expected the 50 tasks of MT50, found {len(tasks)}")
        groups = grouped(tasks)
        rates = [mean_result(group).rate for group in groups.values()]
        mean = statistics.fmean(rates)
        error = math.sqrt(sum(map(_variance, groups.values()))) / len(groups)
        shown = [f"{100 * rate:.1f}" for rate in (*rates, mean)]
        interval = f"{100 * (mean - 1.96 * error):.1f} - {100 * min(1.0, mean + 1.96 * error):.1f}"
        table.add_row(str(path), *shown, interval, f"{100 * mean_result(tasks).rate:.1f}")
    Console().print(table)


def grouped(tasks: tuple[TaskResult, ...]) -> dict[str, list[TaskResult]]:
    group_of = {f"{name}-v3": group for group, names in GROUPS.items() for name in names.split()}
    groups: dict[str, list[TaskResult]] = {EASY: [], **{group: [] for group in GROUPS}}
    for task in tasks:
        groups[group_of.get(task.task, EASY)].append(task)
    return groups


def _variance(group: list[TaskResult]) -> float:
    """Of the mean of the tasks' rates, each with half a success and half a failure more than were seen."""
    smoothed = [((task.successes + 0.5) / (task.episodes + 1), task.episodes) for task in group]
    return sum(rate * (1 - rate) / episodes for rate, episodes in smoothed) / len(group) ** 2


if __name__ == "__main__":
    main()
