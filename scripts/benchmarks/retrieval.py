"""Which task is it? Clips that a run never saw, each taken for the task whose sentences lie nearest to it.

Other demonstrations are collected as the run's were, with another seed, and every one of them is shown to the run's
policy; so are the goals that they came to, where it takes goals.

    python scripts/benchmarks/retrieval.py runs/mt10-multimodal --episodes 20 --seed 2000
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from mtil.config import read
from mtil.data.store import DemoStore
from mtil.evaluation.aiming import demonstrated
from mtil.evaluation.conditioning import descriptors
from mtil.evaluation.metrics import wilson_interval
from mtil.evaluation.retrieval import prototypes, retrieve
from mtil.evaluation.run_data import RunData
from mtil.evaluation.showing import demonstrations
from mtil.policies.checkpoint import load_policy
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import ensure_data


@torch.no_grad()
def main() -> None:
    options = _options()
    policy = load_policy(options.run).policy
    data = _others(options)
    tasks = policy.spec.task_names
    told = descriptors(policy, "language", tasks)
    among = prototypes({task: torch.stack([each.z for each in told[task]]) for task in tasks})
    shown = {"clips": descriptors(policy, "video", tasks, showing=demonstrations(policy, data, tasks, trained=False))}
    shown |= {"goals": demonstrated(policy, data, most=options.episodes)} if "goal" in policy.kinds else {}
    table = Table("nearest sentences of", "right", "%", "95% interval", "taken for another", box=box.MARKDOWN)
    for name, each in shown.items():
        found = retrieve({task: torch.stack([one.z for one in each[task]]) for task in tasks}, among)
        low, high = (float(end) for end in wilson_interval(np.array(found.correct), np.array(found.count)))
        wrong = ", ".join(f"{pair.task} for {pair.taken_for} {pair.count}" for pair in found.confusions)
        counted = f"{found.correct} of {found.count}"
        table.add_row(name, counted, f"{100 * found.rate:.1f}", f"{100 * low:.1f} - {100 * high:.1f}", wrong)
    Console(width=160).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--episodes", type=int, default=20, help="demonstrations of each task")
    parser.add_argument("--seed", type=int, default=2000, help="of their collection")
    return parser.parse_args()


def _others(options: argparse.Namespace) -> RunData:
    """Demonstrations like the run's, of another seed."""
    folder = Path("data") / f"{options.run.name}-others-seed{options.seed}"
    more = [f"collection.episodes_per_task={options.episodes}", f"collection.seed={options.seed}"]
    file = options.run / "config.yaml"
    plan = read(ExperimentConfig, file).collection
    if plan is None or plan.seed == options.seed:
        raise SystemExit(
            f"{file}: expected a collection of another seed than {options.seed}, to collect others like it"
        )
    config = read(ExperimentConfig, file, [*more, f"data.path={folder}"])
    ensure_data(config, Console())
    store = DemoStore.of(config.data)
    everything = torch.arange(len(store.length))
    return RunData(config.data, store, everything[:0], everything)


if __name__ == "__main__":
    main()
