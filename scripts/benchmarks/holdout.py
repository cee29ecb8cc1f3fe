"""Tasks that a policy was never trained on: told in words, shown, or given their goals; and told as one another.

The policy is trained on all tasks of a preset but those held out (by default the five that ML45 holds out), unless that
is done already. It is then evaluated on these in each kind of descriptor that can tell of a new task, and under the
control `wrong`: what success there is without being told.

    python scripts/benchmarks/holdout.py --preset mt50-multimodal --episodes 20 trainer.threads=1
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.config import read
from mtil.encoders.config import encoder_parts
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import read_json
from mtil.sim.base import load
from mtil.training.config import ExperimentConfig, presets
from mtil.training.experiment import ensure_data

ML45 = "bin-picking-v3,box-close-v3,door-lock-v3,door-unlock-v3,hand-insert-v3"


def main() -> None:
    options = _options()
    config = read(ExperimentConfig, presets()[options.preset], options.overrides)
    assert config.suite is not None, "a preset names its suite"
    held_out = options.hold_out.split(",")
    trained = [task.name for task in load(config.suite).tasks() if task.name not in held_out]
    ensure_data(config, Console())  # of all tasks: those held out are shown by demonstrations
    _mtil("train", options.preset, f"data.tasks={json.dumps(trained)}", *options.overrides,
          "--out", str(options.out), "--resume")  # fmt: skip
    kinds = [kind for kind in encoder_parts(config.policy.task_encoder) if kind not in ("one_hot", "none")]
    table = Table("told", *held_out, "mean", "95% interval", box=box.MARKDOWN)
    for kind in kinds:
        for control in (None, "wrong"):
            table.add_row(kind if control is None else f"{kind}, of another", *_row(options, kind, control, held_out))
    Console(width=200).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY.PATH=VALUE")
    parser.add_argument("--preset", default="mt50-multimodal")
    parser.add_argument("--hold-out", default=ML45, help="tasks, comma-separated")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the evaluation")
    parser.add_argument("--out", type=Path, default=Path("runs/holdout"))
    return parser.parse_args()


def _row(options: argparse.Namespace, kind: str, control: str | None, tasks: list[str]) -> list[str]:
    result = _evaluated(options, kind, control, tasks)
    rates = {task.task: f"{100 * task.rate:.0f}" for task in result.tasks}
    mean = result.mean
    return [*(rates[task] for task in tasks), f"{100 * mean.rate:.1f}", f"{100 * mean.low:.1f} - {100 * mean.high:.1f}"]


def _evaluated(options: argparse.Namespace, kind: str, control: str | None, tasks: list[str]) -> EvaluationResult:
    told = ["--condition", kind, *(["--control", control] if control else [])]
    placements = ["--episodes", str(options.episodes), "--seed", str(options.seed), "--tasks", ",".join(tasks)]
    with tempfile.TemporaryDirectory() as folder:
        _mtil("evaluate", str(options.out), *told, *placements, "--json", f"{folder}/result.json")
        return read_json(Path(folder) / "result.json")


def _mtil(*arguments: str) -> None:
    print("$", " ".join(["mtil", *arguments]), flush=True)
    subprocess.run([str(Path(sys.executable).with_name("mtil")), *arguments], check=True)


if __name__ == "__main__":
    main()
