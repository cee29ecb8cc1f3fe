"""From a configuration to a trained policy in a run directory."""

import os
from dataclasses import asdict
from pathlib import Path

import torch
import yaml
from lightning import Trainer, seed_everything
from rich.console import Console

from mtil.collection.collect import collect
from mtil.collection.report import collect_and_report
from mtil.collection.settings import CollectionSettings, is_collected
from mtil.config import dump, read
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import is_lerobot
from mtil.encoders.base import ClipEncoder
from mtil.encoders.config import clip_frames, kind_weights
from mtil.errors import CheckpointError, OutputError
from mtil.hub.names import on_hub
from mtil.machine import this_machine
from mtil.policies.checkpoint import LAST, LoadedPolicy, load_policy
from mtil.policies.policy import Policy
from mtil.ranks import this_rank
from mtil.sim.base import load
from mtil.training.announcement import announce
from mtil.training.config import ExperimentConfig
from mtil.training.controls import examples_of_others
from mtil.training.loggers import run_loggers
from mtil.training.module import ImitationModule
from mtil.training.optimizer import freeze
from mtil.training.pins import as_before, with_commits
from mtil.training.start import started_from, starting_policy
from mtil.training.trainer import build_trainer, fit, quiet
from mtil.types import DatasetSpec


def train(config: ExperimentConfig, run: Path, *, resume: bool, console: Console) -> None:
    """Train a policy, collecting its demonstrations first if they are not there.

    Args:
        config: Everything.
        run: The run directory to write.
        resume: Continue from its last checkpoint, or start if it has none.
        console: For what a person wants to know meanwhile.

    Raises:
        OutputError: The run directory exists, and `resume` was not asked for.
        CheckpointError: The run to be resumed is of another configuration or dataset.
        MtilError: Configuration or data do not work.
    """
    rank = this_rank()
    console = console if rank.first else Console(quiet=True)
    config, checkpoint = _resumable(config, run, resume=resume or not rank.first)
    ensure_data(config, console)
    config = with_commits(config)
    seed_everything(config.seed, verbose=False)
    trained = load_policy(checkpoint) if checkpoint else None
    started = starting_policy(config.start) if config.start and not trained else None
    data = DemoDataModule(
        config.data,
        history=config.policy.history,
        chunk=config.policy.chunk,
        kinds=kind_weights(config.policy.task_encoder),
        frames=clip_frames(config.policy.task_encoder),
        vocabulary=_vocabulary(config, trained or started),
        seed=config.seed,
    )
    step = _step(trained, data) if trained else 0
    policy = trained.policy.train() if trained else _policy(config, data, started, console)
    freeze(policy, config.optimizer.frozen)
    announce(config, data, policy, console)
    if step:
        console.print(f"continuing [bold]{run}[/bold] at step {step:,}")
    with quiet():
        spec = data.store.spec
        trainer = build_trainer(config, run, spec=spec, held_out=bool(len(data.validation)))
        torch.set_num_threads(config.trainer.threads or max(1, len(os.sched_getaffinity(0)) // trainer.num_devices))
        _prepare_clips(policy, data, trainer, console)
        if rank.first:
            _open(config, run, step=step)
            trainer.loggers = run_loggers(config, run, spec.task_names, step=step)
        try:
            others = examples_of_others(data.validation, data.store.spec, seed=config.seed)
            fit(trainer, ImitationModule(policy, config=config, others=others), data, checkpoint)
        except KeyboardInterrupt:
            console.print(_interruption(run))
            raise
    console.print(f"trained: [bold]{run}[/bold]")


def ensure_data(config: ExperimentConfig, console: Console) -> None:
    """Collect the demonstrations if they are not there, or if collecting them was interrupted.

    Ranks started together share this work, and each goes on when all of it is done.

    Raises:
        OutputError: They are there, but were collected with other settings.
    """
    plan, path = config.collection, config.data.path
    if plan is None or config.suite is None or path is None:
        return
    name = on_hub(path)
    if name is not None and name.revision is not None:
        return
    if path.exists() and (is_lerobot(path) or not _all_collected(path)):
        return  # the user's own
    settings = CollectionSettings(suite=config.suite, **plan.model_dump())
    tasks = config.data.tasks or [task.name for task in load(config.suite).tasks()]
    try:
        if all((path / f"{task}.hdf5").exists() for task in tasks):
            collect(settings, path, tasks=tasks)  # checks that they are the ones that the configuration means
        else:
            console.print(f"no demonstrations in [bold]{path}[/bold] yet, or not all: collecting {settings}")
            collect_and_report(settings, path, tasks=tasks, workers=None, console=console)
    except OutputError as error:
        raise OutputError(f"{error}; or collection=null to train on what is there") from None


def _all_collected(path: Path) -> bool:
    """Whether whatever demonstrations a folder holds were collected by us."""
    return path.is_dir() and all(is_collected(file) for file in path.glob("*.h*5"))


def _prepare_clips(policy: Policy, data: DemoDataModule, trainer: Trainer, console: Console) -> None:
    """Let a frozen network look at the clips now, rather than at each step; every rank at all of them."""
    encoder = policy.task_encoders["video"] if "video" in policy.kinds else None
    if isinstance(encoder, ClipEncoder) and encoder.frozen:
        with console.status("clips are being looked at"):
            encoder.to(trainer.strategy.root_device)
            data.prepare_clips(encoder.prepare)
            encoder.cpu()


def _resumable(config: ExperimentConfig, run: Path, *, resume: bool) -> tuple[ExperimentConfig, Path | None]:
    """The configuration to go on with, and the checkpoint to continue from, if there is one."""
    if run.exists() and not resume:
        raise OutputError(f"{run}: exists already; continue it with --resume, or choose another with --out")
    checkpoint, stored = run / LAST, run / "config.yaml"
    if not checkpoint.exists():
        return config, None
    before = read(ExperimentConfig, stored)
    config = as_before(config, before)
    _check_same(config, before, stored)
    return config, checkpoint


def _open(config: ExperimentConfig, run: Path, *, step: int) -> None:
    """Make the run directory. It is made late: a mistake found before leaves none behind to be in the way.

    `machines.yaml` tells where the run was started and continued, in one entry for each time.
    """
    start = {"step": step, **asdict(this_machine())}
    try:
        (run / LAST).parent.mkdir(parents=True, exist_ok=True)
        (run / "config.yaml").write_text(dump(config))
        with (run / "machines.yaml").open("a") as file:
            yaml.safe_dump([start], file, sort_keys=False)
    except OSError as error:
        raise OutputError(f"{run}: cannot be written: {error.strerror}") from None


def _interruption(run: Path) -> str:
    if not (run / LAST).exists():
        return "interrupted before the first checkpoint; --resume starts anew"
    return f"interrupted; the last checkpoint is at step {load_policy(run).step:,}: --resume continues from there"


def _check_same(config: ExperimentConfig, stored: ExperimentConfig, path: Path) -> None:
    """A run continues as it began, but longer if one likes, watched otherwise, or on other hardware.

    A sharded run stays one, and only a sharded one does: the optimiser's state is ordered otherwise on disk.
    """
    now, then = (c.model_dump(mode="json", exclude={"trainer"}) for c in (config, stored))
    for name in ("accumulate_grad_batches", "precision"):
        now[f"trainer.{name}"], then[f"trainer.{name}"] = (getattr(c.trainer, name) for c in (config, stored))
    now["trainer.strategy"], then["trainer.strategy"] = (c.trainer.strategy == "fsdp" for c in (config, stored))
    changed = [key for key in now if now[key] != then[key]]
    if changed:
        raise CheckpointError(
            f"{path}: differs in {', '.join(changed)} from what is asked for; a resumed run keeps its configuration: "
            "choose another --out for a new one"
        )


def check_fits(loaded: LoadedPolicy, data: DemoDataModule) -> None:
    """Check that a policy was trained on this data.

    Raises:
        CheckpointError: It was trained on other tasks, features or instructions.
    """
    if loaded.card.spec != data.store.spec:
        raise CheckpointError(f"{loaded.path}: {_difference(loaded.card.spec, data.store.spec)}")


def _step(loaded: LoadedPolicy, data: DemoDataModule) -> int:
    """The step of a checkpoint that was trained on this data."""
    check_fits(loaded, data)
    return loaded.step


def _vocabulary(config: ExperimentConfig, earlier: LoadedPolicy | None) -> DatasetSpec | None:
    """What the tasks of the data join, where a policy of other tasks is started from."""
    return earlier.card.spec if config.start and config.start.parts is None and earlier else None


def _policy(config: ExperimentConfig, data: DemoDataModule, started: LoadedPolicy | None, console: Console) -> Policy:
    """The policy to be trained, from scratch or from an earlier one."""
    if started is not None:
        return started_from(started, config, data, console)
    policy = Policy(config.policy, data.store.spec)
    policy.fit(data.statistics, data.own_statistics)
    return policy


def _difference(trained: DatasetSpec, found: DatasetSpec) -> str:
    if trained.task_names != found.task_names:
        return f"was trained on tasks {', '.join(trained.task_names)}; the data hold {', '.join(found.task_names)}"
    shapes = [{f.key: f.shape for f in (*spec.observations, spec.action)} for spec in (trained, found)]
    if shapes[0] != shapes[1]:
        return f"was trained on features {shapes[0]}; the data hold {shapes[1]}"
    return "was trained with other instructions or feature sizes of its tasks than the data hold"
