"""Diagnoses of short runs: the gradients are those of the loss, and what was asked for is what is measured."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from typer.testing import CliRunner

from mtil.cli import app
from mtil.data.datamodule import DemoDataModule
from mtil.data.sampling import Draw
from mtil.errors import CheckpointError, ConfigError
from mtil.policies.checkpoint import load_policy
from mtil.training.config import ExperimentConfig
from mtil.training.diagnosis import Diagnosis, LossGradient, diagnose
from mtil.training.experiment import train

MakeConfig = Callable[..., ExperimentConfig]
DROPOUT = {"trunk": {"width": 16, "depth": 1, "dropout": 0.5}}
LANGUAGE = {"task_encoder": {"kind": "language", "width": 8}} | DROPOUT
STEPS = {"max_steps": 5}


def run_of(config: ExperimentConfig, run: Path) -> Path:
    train(config, run, resume=False, console=Console(quiet=True))
    return run


@pytest.fixture(scope="module")
def run(make_config: MakeConfig, opposites: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run of two tasks, each told in two sentences; not to be changed."""
    config = make_config(opposites, policy=LANGUAGE, trainer=STEPS)
    return run_of(config, tmp_path_factory.mktemp("diagnosed") / "run")


def objectives(make_config: MakeConfig, data: Path, tmp_path: Path, sampling: dict[str, Any]) -> Diagnosis:
    config = make_config(data, data={"sampling": sampling}, trainer=STEPS)
    return diagnose(run_of(config, tmp_path / "run"), batches=2, seed=0)


def test_the_gradient_is_that_of_the_loss(run: Path, make_config: MakeConfig, opposites: Path) -> None:
    """By finite differences of the policy's own NLL, without dropout."""
    config = make_config(opposites, policy=LANGUAGE)
    loaded = load_policy(run)
    data = DemoDataModule(config.data, history=1, chunk=1, kinds={"language": 1.0}, seed=0)
    gradient = LossGradient(loaded, data.train, config)
    windows, telling = np.arange(0, len(data.train), 9), np.arange(0, len(data.train), 9) % 2
    weight = np.linspace(0.1, 1, len(windows))
    found = gradient(windows, telling, weight)
    policy = loaded.policy.double()
    batch = data.train.__getitems__(Draw.part(0, torch.from_numpy(windows)))
    batch = replace(batch, observations={k: v.double() for k, v in batch.observations.items()})
    batch = replace(batch, actions=batch.actions.double())
    told = [policy.spec.tasks[task].instructions[way] for task, way in zip(batch.task, telling, strict=True)]
    weights = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    assert gradient.parameters == len(found) == sum(parameter.numel() for parameter in weights)

    def loss(step: float) -> float:
        with torch.no_grad():
            torch.nn.utils.vector_to_parameters(before + step * direction, weights)
            return float(torch.from_numpy(weight) @ policy.nll(batch, policy.embed("language", told)))

    before = torch.nn.utils.parameters_to_vector(weights).detach()
    direction = torch.randn(len(before), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (loss(1e-5) - loss(-1e-5)) / 2e-5 == pytest.approx(float(found.double() @ direction), rel=1e-3)


def test_the_population_is_the_training_windows_and_their_sentences(
    run: Path, make_config: MakeConfig, opposites: Path
) -> None:
    config = make_config(opposites, policy=LANGUAGE)
    data = DemoDataModule(config.data, history=1, chunk=1, kinds={"language": 1.0}, seed=0)
    population = LossGradient(load_policy(run), data.train, config).population
    assert population.task.tolist() == data.train.task.tolist()
    assert population.tellings.tolist() == [2, 2]


def test_how_it_was_made_is_said(run: Path, opposites: Path) -> None:
    found = diagnose(run, batches=3, seed=4)
    protocol = found.protocol
    assert (protocol.checkpoint, protocol.step) == (str(run / "checkpoints" / "last.ckpt"), 5)
    assert (protocol.data, protocol.demos) == (str(opposites), {"left": 5, "right": 5})
    assert (protocol.batch_size, protocol.batches, protocol.seed) == (16, 3, 4)
    assert sum(task.windows for task in found.interference.tasks) == 76


def test_opposite_tasks_are_told_apart_by_their_gradients(run: Path) -> None:
    """A checkpoint file serves as well as its run, and the result follows from the seed."""
    first, second = (diagnose(path, batches=15, seed=0) for path in (run, run / "checkpoints" / "last.ckpt"))
    assert first == second
    found = first.interference
    assert [task.reliability for task in found.tasks] == pytest.approx([1, 1])
    assert sum(task.share or 0 for task in found.tasks) == pytest.approx(1)
    random = found.objectives[0].schemes[1]
    assert random.expected_between > 0.02 * random.expected_within


@pytest.mark.parametrize(
    ("sampling", "names"),
    [
        ({"kind": "stratified"}, ["shares as configured", "shares in proportion to the data"]),
        ({"kind": "stratified", "alpha": 0.5}, ["shares as configured", "shares in proportion to the data"]),
        ({"kind": "stratified", "alpha": 1.0}, ["shares as configured"]),
        (
            {"kind": "stratified", "weights": {"left": 3.0, "right": 1.0}},
            ["shares as configured", "shares in proportion to the data"],
        ),
        ({"kind": "uniform"}, ["shares in proportion to the data", "equal shares"]),
    ],
    ids=str,
)
def test_the_first_objective_is_what_the_run_is_trained_on(
    make_config: MakeConfig, uneven: Path, tmp_path: Path, sampling: dict[str, Any], names: list[str]
) -> None:
    """The shares are those that its loader draws."""
    config = make_config(uneven, data={"sampling": sampling}, trainer=STEPS)
    found = diagnose(run_of(config, tmp_path / "run"), batches=2, seed=0).interference
    assert [objective.objective for objective in found.objectives] == names
    data = DemoDataModule(config.data, history=1, chunk=1, kinds={"one_hot": 1.0}, seed=0)
    draws = zip(range(400), data.train_dataloader().batch_sampler, strict=False)  # type: ignore[arg-type]
    drawn = torch.cat([data.train.task[draw.windows] for _, draw in draws])
    assert found.objectives[0].weights == pytest.approx((drawn.bincount() / len(drawn)).tolist(), abs=0.005)
    assert [task.weight for task in found.tasks] == list(found.objectives[0].weights)


@pytest.fixture
def uneven(opposites: Path, tmp_path: Path) -> Path:
    """Opposites, one of which has two demonstrations only."""
    import h5py

    data = Path(shutil.copytree(opposites, tmp_path / "data"))
    with h5py.File(data / "left.hdf5", "r+") as file:
        for demo in range(2, 6):
            del file[f"data/demo_{demo}"]
    return data


def test_data_that_have_changed(make_config: MakeConfig, opposites: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(opposites, tmp_path / "data"))
    run = run_of(make_config(data, trainer=STEPS), tmp_path / "run")
    (data / "left.hdf5").unlink()
    with pytest.raises(
        CheckpointError,
        match=r"last\.ckpt: was trained on tasks left, right; the data hold right",
    ):
        diagnose(run, batches=2, seed=0)


def test_a_checkpoint_outside_its_run(run: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such run directory, export or checkpoint"):
        diagnose(tmp_path / "nowhere", batches=2, seed=0)
    shutil.copy(run / "checkpoints" / "last.ckpt", tmp_path / "loose.ckpt")
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read: No such file"):
        diagnose(tmp_path / "loose.ckpt", batches=2, seed=0)


def test_the_command_prints_and_keeps_it(run: Path, tmp_path: Path) -> None:
    files = ["--json", str(tmp_path / "found.json"), "--plot", str(tmp_path / "found.svg")]
    result = CliRunner().invoke(app, ["diagnose", str(run), "--batches", "3", *files])
    assert result.exit_code == 0, result.exception
    assert "Gradient of each task's mean NLL" in result.output
    assert json.loads((tmp_path / "found.json").read_text())["protocol"]["batches"] == 3
    assert "left" in (tmp_path / "found.svg").read_text()
