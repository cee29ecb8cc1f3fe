"""From demonstrations without a word to a policy that reaches the goals it is given, through the command line alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mtil.cli import app
from mtil.policies.checkpoint import load_policy

CONFIG: dict[str, Any] = {
    "suite": "toy",
    "data": {
        "batch_size": 64,
        "observations": ["position"],
        "goals": {"space": ["position"], "relabel": {"kind": "future"}},
        "tasks": ["near", "far"],
    },
    "collection": {"episodes_per_task": 60},
    "policy": {"task_encoder": {"kind": "goal", "width": 16}, "trunk": {"width": 64, "depth": 2}},
    "trainer": {"max_steps": 500, "threads": 1, "progress_bar": False, "validate_every": 250},
}

Mtil = Callable[..., None]


@pytest.fixture
def mtil(toy_suite: str) -> Mtil:
    def run(*arguments: str | Path | int) -> None:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
        assert result.exit_code == 0, result.output

    return run


def rate(mtil: Mtil, run: Path, *options: str) -> float:
    path = run.parent / "result.json"
    mtil("evaluate", run, "--episodes", 20, "--workers", 1, "--json", path, *options)
    result = json.loads(path.read_text())
    assert result["protocol"]["condition"] == "goal"
    return result["mean"]["rate"]


def test_it_goes_where_it_is_to_go(mtil: Mtil, tmp_path: Path) -> None:
    """It sees no goal, and its demonstrations state none: what they came to is all that it learns from."""
    (tmp_path / "reaching.yaml").write_text(yaml.safe_dump(CONFIG))
    run = tmp_path / "run"
    mtil("train", tmp_path / "reaching.yaml", f"data.path={tmp_path / 'demos'}", "--out", run)
    assert rate(mtil, run) > 0.8
    assert rate(mtil, run, "--control", "wrong") < 0.3


def test_a_run_is_resumed_with_the_same_goals(mtil: Mtil, tmp_path: Path) -> None:
    (tmp_path / "reaching.yaml").write_text(yaml.safe_dump(CONFIG))
    options = ("train", tmp_path / "reaching.yaml", f"data.path={tmp_path / 'demos'}", "trainer.rollout_every=10")
    mtil(*options, "trainer.rollout_episodes=2", "trainer.max_steps=20", "--out", tmp_path / "once")
    again = (*options, "trainer.rollout_episodes=2", "--out", tmp_path / "again")
    mtil(*again, "trainer.max_steps=10")
    mtil(*again, "trainer.max_steps=20", "--resume")
    once, twice = (load_policy(tmp_path / name).policy.state_dict() for name in ("once", "again"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
