"""Runs on data, and from policies, that are named on the Hub: held to the commits of their beginning."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import torch
from hub_server import HubServer
from rich.console import Console

from mtil.config import read
from mtil.data.publishing import push_dataset
from mtil.evaluation.publishing import push_policy
from mtil.hub.names import HubName
from mtil.policies.checkpoint import load_policy
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train
from mtil.training.finetune import finetuning

MakeConfig = Callable[..., ExperimentConfig]
QUICK = {"max_steps": 10, "validate_every": 10, "checkpoint_every": 5}


def start(config: ExperimentConfig, run: Path, *, resume: bool = False) -> ExperimentConfig:
    train(config, run, resume=resume, console=Console(file=StringIO()))
    return read(ExperimentConfig, run / "config.yaml")


def test_a_run_goes_on_with_the_data_that_it_began_with(
    hub: HubServer, make_config: MakeConfig, opposites: Path, newcomers: Path, tmp_path: Path
) -> None:
    push_dataset(opposites, HubName("acme/kitchen"))
    commit = hub.repositories["dataset", "acme/kitchen"].branches["main"]
    config = make_config(Path("acme/kitchen"), trainer=QUICK)
    kept = start(config, tmp_path / "run")
    assert kept.data.path == Path(f"acme/kitchen@{commit}")
    push_dataset(newcomers, HubName("acme/kitchen"))
    longer = make_config(Path("acme/kitchen"), trainer=QUICK | {"max_steps": 20})
    assert start(longer, tmp_path / "run", resume=True).data.path == kept.data.path
    start(make_config(opposites, trainer=QUICK), tmp_path / "here")
    expected = start(make_config(opposites, trainer=QUICK | {"max_steps": 20}), tmp_path / "here", resume=True)
    assert expected.data.path == opposites
    found, same = (load_policy(tmp_path / run).policy.state_dict() for run in ("run", "here"))
    assert all(torch.equal(tensor, same[name]) for name, tensor in found.items())


def test_a_fine_tuning_names_all_that_it_was_made_of(
    hub: HubServer, make_config: MakeConfig, opposites: Path, newcomers: Path, tmp_path: Path
) -> None:
    start(make_config(opposites, trainer=QUICK), tmp_path / "base")
    push_policy(tmp_path / "base", HubName("acme/both"))
    push_dataset(opposites, HubName("acme/kitchen"))
    push_dataset(newcomers, HubName("acme/new"))
    asked = ["data.rehearsal.path=acme/kitchen", "data.batch_size=16", "trainer.max_steps=5", "trainer.threads=1"]
    config = finetuning(Path("acme/both"), Path("acme/new"), asked)
    kept = start(config, tmp_path / "run")
    at = {name: repository.branches["main"] for (_, name), repository in hub.repositories.items()}
    assert kept.start is not None
    assert kept.data.rehearsal is not None
    named = (kept.start.policy, kept.data.path, kept.data.rehearsal.path)
    assert tuple(map(str, named)) == tuple(f"{name}@{at[name]}" for name in ("acme/both", "acme/new", "acme/kitchen"))
    assert load_policy(tmp_path / "run").card.spec.task_names == ["left", "right", "around"]
