"""Lightning's trainer: set up so that a run is a function of its configuration, kept quiet, and interrupted cleanly."""

import contextlib
import logging
import os
import shutil
import signal
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from lightning import LightningDataModule, LightningModule, Trainer
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.strategies import Strategy

from mtil.encoders.config import encoder_parts
from mtil.errors import ConfigError
from mtil.ranks import Rank, this_rank
from mtil.training.callbacks import LastCheckpoint, StepProgress
from mtil.training.config import ExperimentConfig, TrainerConfig
from mtil.training.ema import WeightEMA
from mtil.training.rollouts import Rollouts, rolled_out_by
from mtil.training.sharding import sharding_strategy
from mtil.training.task_log import TaskLog
from mtil.types import DatasetSpec

_LOGGERS = ("lightning.pytorch", "lightning.fabric")
_NOISE = (
    r".*isinstance\(treespec, LeafSpec\)",  # Lightning's use of PyTorch's internals
    r".*does not have many workers",  # state data need none
    r"Found \d+ module\(s\) in eval mode",  # as pretrained networks are to be
)


def build_trainer(config: ExperimentConfig, run: Path, *, spec: DatasetSpec, held_out: bool) -> Trainer:
    """The trainer, yet without loggers.

    Args:
        config: Everything.
        run: The run directory; nothing is written to it yet.
        spec: Of the data, for the log and for rollouts.
        held_out: Whether there are validation data.

    Raises:
        ConfigError: This machine, or Lightning, has no such accelerator, devices or strategy, or no compiler.
        MtilError: Rollouts are asked for, and there is no simulator for them.
    """
    options = config.trainer
    kinds = tuple(encoder_parts(config.policy.task_encoder))
    if options.rollout_every is not None and rolled_out_by(kinds) is None:
        raise ConfigError("trainer.rollout_every: expected a policy that can be told its tasks in words, found video")
    _check_compiler(options)
    try:
        trainer = Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            num_nodes=options.num_nodes,
            strategy=_strategy(options),
            precision=options.precision,
            accumulate_grad_batches=options.accumulate_grad_batches,
            gradient_clip_val=config.optimizer.gradient_clip,
            max_steps=options.max_steps,
            max_epochs=-1,
            val_check_interval=options.validate_every * options.accumulate_grad_batches if held_out else None,
            check_val_every_n_epoch=None,
            limit_val_batches=None if held_out else 0,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            logger=False,
            callbacks=_callbacks(config, run, spec),
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            default_root_dir=run,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ConfigError(f"trainer: {' '.join(str(error).split())}") from None
    _check_ranks(this_rank(), trainer, config)
    return trainer


def fit(trainer: Trainer, module: LightningModule, data: LightningDataModule, checkpoint: Path | None) -> None:
    """Train, from a checkpoint if there is one.

    Raises:
        KeyboardInterrupt: The user's, which Lightning would turn into the end of the process.
    """
    handler = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as end:
        if not isinstance(end.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, handler)  # Lightning has it ignored
        raise KeyboardInterrupt from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's remarks on devices, products and its own deprecations; its warnings stay."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            for message in _NOISE:
                warnings.filterwarnings("ignore", message=message)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _check_compiler(options: TrainerConfig) -> None:
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # PyTorch's choice
    if options.compile and not shutil.which(compiler):
        raise ConfigError(f"trainer.compile: expected a C++ compiler, found no {compiler}; install one, or say false")


def _check_ranks(rank: Rank, trainer: Trainer, config: ExperimentConfig) -> None:
    count = trainer.world_size
    if rank.count not in (1, count):
        raise ConfigError(f"trainer.devices: started as {rank.count} processes, but devices x num_nodes is {count}")
    if rank.count == 1 and trainer.num_nodes > 1:
        raise ConfigError("trainer.num_nodes: several machines need a launcher, torchrun or srun (docs/clusters.md)")
    if count > config.data.batch_size:
        found = config.data.batch_size
        raise ConfigError(f"data.batch_size: expected an example at least for each of {count} devices, found {found}")


def _strategy(options: TrainerConfig) -> str | Strategy:
    if options.strategy != "fsdp":
        return options.strategy
    if not isinstance(options.devices, int):
        raise ConfigError(f"trainer.devices: fsdp needs their number, found {options.devices!r}")
    return sharding_strategy(options.devices * options.num_nodes)


def _callbacks(config: ExperimentConfig, run: Path, spec: DatasetSpec) -> list[Callback]:
    options, average = config.trainer, WeightEMA(config.optimizer.ema_decay)
    kinds = tuple(encoder_parts(config.policy.task_encoder))
    return [
        average,
        TaskLog(spec.task_names, kinds, every=options.log_every),
        *([_rollouts(config, average, spec, every=options.rollout_every)] if options.rollout_every else []),
        *([StepProgress()] if options.progress_bar else []),
        LastCheckpoint(run / "checkpoints", every=options.checkpoint_every, keep_every=options.keep_every),
    ]


def _rollouts(config: ExperimentConfig, average: WeightEMA, spec: DatasetSpec, *, every: int) -> Rollouts:
    episodes = config.trainer.rollout_episodes
    return Rollouts(average, suite=config.suite, spec=spec, every=every, episodes=episodes, seed=config.seed)
