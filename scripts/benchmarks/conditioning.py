"""What a training step costs by what tells the tasks: by language alone, by clips, by several kinds.

A step is a batch from the loader, forward, backward and AdamW, on one thread. Variants take turns in one process; a
ratio is to the first variant in the same round.

    python scripts/benchmarks/conditioning.py --preset mt10-multimodal \
        'language=policy.task_encoder={"kind":"language"}' 'video=policy.task_encoder={"kind":"video"}' all=
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from rich import box
from rich.console import Console
from rich.table import Table

from mtil.config import read
from mtil.data.datamodule import DemoDataModule
from mtil.encoders.base import ClipEncoder
from mtil.encoders.config import clip_frames, kind_weights
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig, presets
from mtil.training.experiment import ensure_data
from mtil.training.module import ImitationModule


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    steps = {}
    for variant in options.variants:
        name, _, overrides = variant.partition("=")
        steps[name] = _step(read(ExperimentConfig, presets()[options.preset], [*overrides.split(), *options.set]))
    for step in steps.values():
        _seconds(step, 5)  # and compiled, if it is to be
    rounds = [{name: _seconds(step, options.steps) for name, step in steps.items()} for _ in range(options.rounds)]
    first = next(iter(steps))
    table = Table("told", "ms a step", "ratio", "in the rounds", box=box.MARKDOWN)
    for name in steps:
        ratios = [each[name] / each[first] for each in rounds]
        cost = 1000 * statistics.median(each[name] for each in rounds)
        table.add_row(name, f"{cost:.1f}", f"{statistics.median(ratios):.2f}", f"{min(ratios):.2f} - {max(ratios):.2f}")
    Console(width=120).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("variants", nargs="+", help="NAME=[KEY.PATH=VALUE ...]")
    parser.add_argument("--preset", default="mt10-multimodal")
    parser.add_argument("--set", action="append", default=[], metavar="KEY.PATH=VALUE", help="for all variants")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def _step(config: ExperimentConfig) -> Callable[[], None]:
    """A function that takes a step of a training."""
    ensure_data(config, Console())
    encoder = config.policy.task_encoder
    data = DemoDataModule(
        config.data,
        history=config.policy.history,
        chunk=config.policy.chunk,
        kinds=kind_weights(encoder),
        frames=clip_frames(encoder),
        seed=config.seed,
    )
    policy = Policy(config.policy, data.store.spec)
    policy.fit(data.statistics)
    video = policy.task_encoders["video"] if "video" in policy.kinds else None
    if isinstance(video, ClipEncoder) and video.frozen:
        data.prepare_clips(video.prepare)
    module = ImitationModule(policy, config=config).train()
    optimizer = torch.optim.AdamW([weight for weight in module.parameters() if weight.requires_grad], lr=1e-4)
    batches = iter(data.train_dataloader())
    half = config.trainer.precision == "bf16-mixed"

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found = module.training_step(next(batches), 0)
        found["loss"].backward()
        optimizer.step()

    return step


def _seconds(step: Callable[[], None], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - began) / count


if __name__ == "__main__":
    main()
