"""One factor at a time of a preset from pixels, each trained for the same minutes, evaluated on the same placements.

A variant that takes longer for a step gets fewer of them: steps are timed first. Trainings and evaluations are those of
`compare.py`, which does not do again what is done. Placements are of another evaluation seed than the one that is
reported, since presets are chosen here.

    python scripts/benchmarks/ablations.py --minutes 15 --set trainer.threads=1 preset no-wrist chunk-1
    python scripts/benchmarks/ablations.py --list
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from compare import folder_of
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

VARIANTS: dict[str, str] = {
    "preset": "",
    "no-wrist": "data.observations=[proprio,corner_image,corner2_image]",
    "corner-and-wrist": "data.observations=[proprio,corner_image,gripperPOV_image]",
    "corner2": "data.observations=[proprio,corner2_image]",
    "whole-picture": "collection.cameras.corner.crop=null collection.cameras.corner2.crop=null",
    "48-pixels": "collection.cameras.corner.size=48 collection.cameras.corner2.size=48",
    "no-shift": "data.augmentation=null",
    "shift-and-colour": "data.augmentation={}",
    "chunk-1": "policy.chunk=1",
    "chunk-16": "policy.chunk=16",
    "ensemble": "policy.execution.kind=ensemble",
    "history-2": "policy.history=2",
    "wider": "policy.image_encoder.channels=[32,64,128]",
    "resnet-18": 'policy.image_encoder={"kind":"resnet"}',
    "no-film": "policy.image_encoder.film=false",
    "no-targets": "data.targets=[]",
    "mixture": "policy.head.kind=mixture",
}
WARM, TIMED = 50, 150
"""Steps before the clock starts, and when it stops."""


def main() -> None:
    options = _options()
    if options.list:
        for name, overrides in VARIANTS.items():
            print(f"{name:18}{overrides}")
        return
    variants = []
    for name in options.variants or VARIANTS:
        overrides = [*VARIANTS[name].split(), *options.set]
        steps = int(60 * options.minutes / _seconds_a_step(name, overrides, options))
        print(f"{name}: {steps} steps in {options.minutes} minutes", flush=True)
        variants.append(" ".join([f"{name}=", *overrides, f"trainer.max_steps={steps}"]))
    arguments = ["--preset", options.preset, "--seeds", options.seeds, "--episodes", str(options.episodes),
                 "--evaluation-seed", str(options.evaluation_seed), "--out", str(options.out)]  # fmt: skip
    subprocess.run([sys.executable, Path(__file__).with_name("compare.py"), *arguments, *variants], check=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="*", metavar="VARIANT", help="by default all")
    parser.add_argument("--list", action="store_true", help="what the variants are")
    parser.add_argument("--minutes", type=float, default=15, help="of training, start-up left out")
    parser.add_argument("--preset", default="mt10-pixels")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="for all variants")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--evaluation-seed", type=int, default=100)
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    return parser.parse_args()


def _seconds_a_step(name: str, overrides: list[str], options: argparse.Namespace) -> float:
    """Of a short training, by the times at which its log was written."""
    seed = int(options.seeds.split(",")[0])
    data = folder_of(options.preset, name, overrides, seed)
    short = [f"trainer.max_steps={TIMED}", f"trainer.validate_every={TIMED}", f"trainer.log_every={WARM}"]
    settings = [f"collection.seed={seed}", f"data.path={data}", *overrides, *short]
    with tempfile.TemporaryDirectory() as folder:
        mtil = Path(sys.executable).with_name("mtil")
        subprocess.run([mtil, "train", options.preset, *settings, "--out", f"{folder}/run"], check=True)
        events = EventAccumulator(f"{folder}/run/tensorboard")
        events.Reload()
        began, *_, ended = (event for event in events.Scalars("train/nll") if event.step >= WARM)
    return (ended.wall_time - began.wall_time) / (ended.step - began.step)


if __name__ == "__main__":
    main()
