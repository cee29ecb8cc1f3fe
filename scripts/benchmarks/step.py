"""The training step of `mtil train` beside a bare PyTorch loop that does the same work with its batches in memory.

The same work: augmentation, forward (compiled, in bfloat16, if the preset says so), backward, gradient clipping, AdamW,
learning-rate schedule, EMA, and NLL counted per task. What the bare loop leaves out is reading batches, and Lightning.
The two alternate in one process; a ratio is of one round.

    python scripts/benchmarks/step.py --rounds 7 --json step.json
"""

import argparse
import copy
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from mtil.config import read
from mtil.data.batch import Batch
from mtil.data.datamodule import DemoDataModule
from mtil.encoders.config import clip_frames, kind_weights
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig, presets
from mtil.training.experiment import ensure_data
from mtil.training.metrics import TaskMeans
from mtil.training.module import ImitationModule
from mtil.training.schedule import warmup_cosine
from mtil.training.trainer import build_trainer, fit, quiet

WARM_UP = 50  # steps not timed


def main() -> None:
    options = _options()
    torch.set_num_threads(options.threads)
    overrides = [f"trainer.max_steps={options.steps + WARM_UP}", "trainer.progress_bar=false",
                 "trainer.checkpoint_every=1000000", *options.overrides]  # fmt: skip
    config = read(ExperimentConfig, presets()[options.preset], overrides)
    ensure_data(config, Console())
    data = DemoDataModule(
        config.data,
        history=config.policy.history,
        chunk=config.policy.chunk,
        kinds=kind_weights(config.policy.task_encoder),
        frames=clip_frames(config.policy.task_encoder),
        seed=0,
    )
    policy = Policy(config.policy, data.store.spec)
    policy.fit(data.statistics)
    batches = list(itertools.islice(data.train_dataloader(), 64))
    rounds = [
        {"mtil": _ours(config, policy, data), "bare": _bare(config, policy, batches)}
        for _ in track(range(options.rounds), description="rounds")
    ]
    _report(rounds, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY.PATH=VALUE", help="changes to the preset")
    parser.add_argument("--preset", default="mt10-state")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300, help="timed steps of each, in a round")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


class _Stopwatch(Callback):
    """Seconds from the end of the warm-up to the last step."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        if trainer.global_step == WARM_UP:
            self.began = time.perf_counter()
        if trainer.global_step == trainer.max_steps:
            self.seconds = time.perf_counter() - self.began


def _ours(config: ExperimentConfig, policy: Policy, data: DemoDataModule) -> float:
    """Milliseconds per step of `mtil train`."""
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory() as folder, quiet():
        trainer = build_trainer(config, Path(folder), spec=data.store.spec, held_out=False)
        (Path(folder) / "checkpoints").mkdir()
        trainer.callbacks.insert(len(trainer.callbacks) - 1, watch)  # type: ignore[attr-defined]  # before the checkpoint
        fit(trainer, ImitationModule(copy.deepcopy(policy), config=config), data, None)
    return 1000 * watch.seconds / (config.trainer.max_steps - WARM_UP)


def _bare(config: ExperimentConfig, policy: Policy, batches: list[Batch]) -> float:
    """Milliseconds per step of a loop written by hand."""
    module = ImitationModule(copy.deepcopy(policy), config=config).train()
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    average = [parameter.detach().clone() for parameter in parameters]
    current = [parameter.detach() for parameter in parameters]
    options = config.optimizer
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=options.learning_rate, fused=True)
    schedule = LambdaLR(optimizer, warmup_cosine(options.warmup_steps, config.trainer.max_steps))
    means = TaskMeans(policy.spec.task_names)
    began = 0.0
    for step, batch in zip(range(config.trainer.max_steps), itertools.cycle(batches), strict=False):
        if step == WARM_UP:
            began = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=config.trainer.precision == "bf16-mixed"):
            found = module.training_step(batch, step)
        found["loss"].backward()
        nn.utils.clip_grad_norm_(parameters, options.gradient_clip)
        optimizer.step()
        schedule.step()
        torch._foreach_lerp_(average, current, 1 - options.ema_decay)  # pyright: ignore
        means.add(found["nll"], batch.task)
    return 1000 * (time.perf_counter() - began) / (config.trainer.max_steps - WARM_UP)


def _report(rounds: list[dict[str, float]], options: argparse.Namespace) -> None:
    ratios = [each["mtil"] / each["bare"] for each in rounds]
    table = Table("", "median", "least", "most", title=f"ms per step, {options.preset}, {options.threads} thread(s)")
    for name in ("mtil", "bare"):
        values = [each[name] for each in rounds]
        table.add_row(name, *(f"{f(values):.2f}" for f in (statistics.median, min, max)))
    table.add_row("mtil / bare", *(f"{f(ratios):.3f}" for f in (statistics.median, min, max)))
    Console().print(table)
    if options.json:
        options.json.write_text(json.dumps({"threads": options.threads, "rounds": rounds, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
