"""How long until a policy succeeds in 95% of held-out episodes? Ours beside robomimic's own behaviour cloning.

Both are trained on the same demonstrations with the same threads; their weights are kept as they go, and evaluated
afterwards by the same rollouts from the same placements. The clocks are not the same, to robomimic's advantage:

- ours runs from the start of the command `mtil train PRESET` to a checkpoint on disk: imports, reading of
  demonstrations, validations and checkpoints count. The learning rate is annealed over `trainer.max_steps`, so that
  fewer of them are another schedule: a run for each of `--max-steps`.
- robomimic's, at its defaults (see `robomimic_bc.py`), runs while it takes gradient steps: nothing else counts.

Demonstrations are collected first if they are not there.

    python scripts/benchmarks/time_to_success.py --contestant ours --max-steps 5000,2500,1500,1000
    python scripts/benchmarks/time_to_success.py --contestant robomimic --seconds 1200 --every 60

robomimic runs beside mtil if its own pins are not insisted on; a copy of the environment is the place for it:

    pip install --no-deps robomimic==0.3.0 && pip install six termcolor tqdm imageio
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from success_curve import TARGET, Point, Snapshot, first_arrival, lasting_arrival, measure, print_curve

from mtil.config import read
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.settings import EvaluationSettings
from mtil.policies.checkpoint import LAST, load_policy
from mtil.ranks import cores
from mtil.training.config import ExperimentConfig, presets
from mtil.training.experiment import ensure_data

Curve = tuple[str, Iterator[Point]]
"""A training's name, and how its snapshots fare, one after the other."""

_GLANCE = 0.02  # seconds between two looks for a new checkpoint


def main() -> None:
    options = _options()
    experiment = read(ExperimentConfig, presets()[options.preset], [f"seed={options.training_seed}"])
    ensure_data(experiment, Console())
    contestant = _ours if options.contestant == "ours" else _robomimic
    curves: dict[str, list[Point]] = {}
    for title, points in contestant(options, experiment):
        curves[title] = []
        for point in points:
            curves[title].append(point)
            _write(options, curves)
        print_curve(title, curves[title])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contestant", choices=["ours", "robomimic"], required=True)
    parser.add_argument("--preset", choices=list(presets()), default="mt10-state")
    parser.add_argument("--threads", type=int, default=cores(), help="of the training; by default the cores")
    parser.add_argument("--training-seed", type=int, default=0, help="of the split, the weights and the batches")
    parser.add_argument("--seed", type=int, default=0, help="of the placements, as in `mtil evaluate`")
    parser.add_argument("--episodes", type=int, default=25, help="of each task, for each snapshot")
    parser.add_argument("--max-steps", type=_numbers, help="ours: N[,N...], a run each; by default the preset's")
    parser.add_argument("--checkpoint-every", type=int, default=250, help="ours: steps between snapshots")
    parser.add_argument("--seconds", type=float, default=1200, help="robomimic: of training")
    parser.add_argument("--every", type=float, default=60, help="robomimic: seconds of training between snapshots")
    parser.add_argument("--out", type=Path, help="a new folder; by default runs/time-to-success/CONTESTANT")
    options = parser.parse_args()
    options.out = options.out or Path("runs/time-to-success", options.contestant)
    if options.out.exists():
        parser.error(f"--out {options.out}: exists already; expected a new folder")
    return options


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


def _ours(options: argparse.Namespace, experiment: ExperimentConfig) -> Iterator[Curve]:
    evaluate = partial(evaluate_checkpoint, settings=EvaluationSettings(episodes=options.episodes, seed=options.seed))
    for steps in options.max_steps or [experiment.trainer.max_steps]:
        snapshots = _train_ours(options, steps, options.out / f"{steps}-steps")
        yield f"ours, {steps:,} steps", measure(snapshots, evaluate)


def _train_ours(options: argparse.Namespace, steps: int, run: Path) -> list[Snapshot]:
    """Run `mtil train`, and keep every checkpoint that it writes."""
    command = [str(Path(sys.executable).with_name("mtil")), "train", options.preset, f"seed={options.training_seed}",
               f"trainer.max_steps={steps}", f"trainer.threads={options.threads}",
               f"trainer.checkpoint_every={options.checkpoint_every}", "--out", str(run)]  # fmt: skip
    print("$", " ".join(["mtil", *command[1:]]), flush=True)
    kept: dict[Path, float] = {}
    began = time.monotonic()
    with subprocess.Popen(command) as training:
        running = True
        while running:
            running = training.poll() is None  # asked before the look, or the last checkpoint might be missed
            _keep(run / LAST, kept, seconds=time.monotonic() - began)
            time.sleep(_GLANCE)
    if training.returncode:
        sys.exit(training.returncode)
    return [Snapshot(path, load_policy(path).step, seconds) for path, seconds in kept.items()]


def _keep(last: Path, kept: dict[Path, float], *, seconds: float) -> None:
    """Another name for the last checkpoint, if it is a new one. (It is replaced in one move, never written over.)"""
    if last.exists() and not any(last.samefile(path) for path in kept):
        path = last.with_name(f"{len(kept):03}.ckpt")
        path.hardlink_to(last)
        kept[path] = seconds


def _robomimic(options: argparse.Namespace, experiment: ExperimentConfig) -> Iterator[Curve]:
    try:
        from robomimic_bc import RobomimicBC  # not above: the rollouts' processes, which import this file, need none
    except ImportError as error:
        sys.exit(f"robomimic cannot be imported ({error}); see {Path(__file__).name} --help")
    theirs = RobomimicBC(experiment)
    snapshots = theirs.train(options.out, seconds=options.seconds, every=options.every, threads=options.threads)
    yield "robomimic BC", measure(snapshots, partial(theirs.evaluate, episodes=options.episodes, seed=options.seed))


def _write(options: argparse.Namespace, curves: dict[str, list[Point]]) -> None:
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    found = {
        "settings": settings,
        "target": TARGET,
        "curves": {title: _summary(points) for title, points in curves.items()},
    }
    (options.out / "result.json").write_text(json.dumps(found, indent=2) + "\n")


def _summary(points: Sequence[Point]) -> dict[str, Any]:
    first, lasting = first_arrival(points), lasting_arrival(points)
    return {
        "first_seconds": first and first.seconds,
        "lasting_seconds": lasting and lasting.seconds,
        "points": [asdict(point) for point in points],
    }


if __name__ == "__main__":
    main()
