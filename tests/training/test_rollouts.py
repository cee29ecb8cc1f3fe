"""Rollouts in training: of the averaged weights, on placements of their own, and without a trace in the training."""

import csv
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch
from rich.console import Console

from mtil.config import dump
from mtil.errors import ConfigError, SimulatorError
from mtil.evaluation.conditioning import descriptors
from mtil.evaluation.evaluate import evaluate
from mtil.policies.actor import Actor
from mtil.policies.checkpoint import LAST, load_policy
from mtil.training import rollouts
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import ensure_data, train
from mtil.training.trainer import build_trainer
from mtil.types import DatasetSpec, Task

MakeConfig = Callable[..., ExperimentConfig]
SCRIPT = Path(__file__).parents[2] / "scripts" / "train.py"
TOY = Path(__file__).parents[1] / "evaluation" / "toy"
EPISODES = 5


@pytest.fixture(scope="module")
def toy() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOY)
        yield "toy"


@pytest.fixture(scope="module")
def config(toy: str, make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> ExperimentConfig:
    """Two of the toy's tasks, learned well enough to succeed now and then; dropout; steps at which all meet."""
    config = make_config(
        tmp_path_factory.mktemp("toy") / "data",
        suite=toy,
        seed=5,
        data={"tasks": ["far", "near"], "observations": ["position", "goal"], "batch_size": 64},
        collection={"episodes_per_task": 20},
        policy={"trunk": {"width": 64, "depth": 1, "dropout": 0.05}},
        trainer={
            "max_steps": 60,
            "keep_every": 30,
            "checkpoint_every": 30,
            "rollout_every": 30,
            "rollout_episodes": EPISODES,
        },
    )
    ensure_data(config, Console(quiet=True))
    return config


@pytest.fixture(scope="module")
def finished(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with rollouts at the steps 30 and 60."""
    run = tmp_path_factory.mktemp("finished") / "run"
    train(config, run, resume=False, console=Console(quiet=True))
    return run


def with_trainer(config: ExperimentConfig, **changes: Any) -> ExperimentConfig:
    return config.model_copy(update={"trainer": config.trainer.model_copy(update=changes)})


def rows(run: Path, name: str = "rollout/success") -> dict[int, dict[str, float]]:
    """The log's rows that have a metric, by step, without what is blank."""
    with (run / "metrics.csv").open(newline="") as file:
        found = [{key: float(value) for key, value in row.items() if value} for row in csv.DictReader(file)]
    return {int(row["step"]): row for row in found if name in row}


def assert_same_training(run: Path, expected: Path) -> None:
    found, wanted = (torch.load(path / LAST, weights_only=True) for path in (run, expected))
    for kind in ("state_dict", "current_model_state"):
        assert all(torch.equal(found[kind][name], value) for name, value in wanted[kind].items())
    assert str(found["optimizer_states"]) == str(wanted["optimizer_states"])


def evaluated(run: Path, step: int) -> dict[str, float]:
    """What the log should say of the policy that a checkpoint holds."""
    policy = load_policy(run / "checkpoints" / f"step-{step}.ckpt").policy
    told = descriptors(policy, "one_hot", ["near", "far"])
    result = evaluate(
        Actor(policy, slots=4), simulator="toy", descriptors=told, tasks=told, episodes=EPISODES, seed=5,
        workers=1, condition="one_hot", checkpoint="", stream="validation",
    )  # fmt: skip
    rates = {f"rollout/success/{task.task}": task.rate for task in result.tasks}
    lengths = {f"rollout/length/{task.task}": task.mean_length for task in result.tasks}
    means = {"rollout/success": fmean(rates.values()), "rollout/length": fmean(lengths.values())}
    return {"step": step, **means, **rates, **lengths}


def test_what_is_rolled_out_is_what_the_checkpoint_holds(finished: Path) -> None:
    assert list(rows(finished)) == [30, 60]
    assert all(row == pytest.approx(evaluated(finished, step)) for step, row in rows(finished).items())


def test_it_gets_better(finished: Path) -> None:
    assert rows(finished)[60]["rollout/success"] > rows(finished)[30]["rollout/success"]


def test_training_does_not_notice(config: ExperimentConfig, finished: Path, tmp_path: Path) -> None:
    train(with_trainer(config, rollout_every=None), tmp_path / "run", resume=False, console=Console(quiet=True))
    assert_same_training(tmp_path / "run", finished)
    assert rows(tmp_path / "run", "train/nll").keys() == rows(finished, "train/nll").keys()
    assert not rows(tmp_path / "run")


def test_killed_in_a_rollout(
    config: ExperimentConfig, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step's checkpoint is not yet written; resumed, the run rolls out again."""
    monkeypatch.setattr(rollouts, "Actor", with_action(lambda: os.kill(os.getpid(), signal.SIGKILL)))
    dying = {"target": train, "args": (config, tmp_path / "run"), "kwargs": {"resume": False, "console": Console()}}
    process = multiprocessing.get_context("fork").Process(**dying)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (tmp_path / "run" / LAST).exists()
    monkeypatch.undo()
    train(config, tmp_path / "run", resume=True, console=Console(quiet=True))
    assert_same_training(tmp_path / "run", finished)
    assert (tmp_path / "run" / "metrics.csv").read_bytes() == (finished / "metrics.csv").read_bytes()


def test_ctrl_c_in_a_rollout(
    config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupts: None
) -> None:
    monkeypatch.setattr(rollouts, "Actor", with_action(lambda: signal.raise_signal(signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        train(with_trainer(config, threads=2), tmp_path / "run", resume=False, console=Console(quiet=True))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    assert threads == 2
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_ranks_share_the_episodes(config: ExperimentConfig, tmp_path: Path, strategy: str) -> None:
    file, run = tmp_path / "config.yaml", tmp_path / "run"
    file.write_text(dump(with_trainer(config, strategy=strategy, devices=2)))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(TOY)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(file), "--out", str(run)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert list(rows(run)) == [30, 60]
    assert rows(run)[30] == pytest.approx(evaluated(run, 30))


@pytest.mark.parametrize(
    ("suite", "error", "message"),
    [
        (None, ConfigError, "trainer.rollout_every: expected a suite to roll out in, found suite=null"),
        ("toi", SimulatorError, "unknown simulator 'toi'; did you mean 'toy'"),
        ("metaworld-mt10", SimulatorError, r"metaworld-mt10: none of the tasks to be trained \(left\)"),
    ],
)
def test_a_suite_that_does_not_serve(
    config: ExperimentConfig, tmp_path: Path, left: DatasetSpec, suite: str | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        build_trainer(config.model_copy(update={"suite": suite}), tmp_path / "run", spec=left, held_out=False)
    assert not (tmp_path / "run").exists()


def test_what_a_suite_does_not_show_is_told_at_once(
    config: ExperimentConfig, left: DatasetSpec, tmp_path: Path
) -> None:
    """Not at the first rollout, hours later."""
    spec = replace(left, tasks=(Task("near"),))
    with pytest.raises(SimulatorError, match="toy: near: the policy is to see 'proprio', which is not shown; trainer"):
        build_trainer(config, tmp_path / "run", spec=spec, held_out=False)


def with_action(action: Callable[[], object]) -> type[Actor]:
    """An actor that does something else before its third action."""

    class Interrupted(Actor):
        acts = 0

        def act(self, observations: Sequence[Any]) -> Any:
            self.acts += 1
            if self.acts == 3:
                action()
            return super().act(observations)

    return Interrupted
