"""A policy of two datasets that live in two simulators, through the command line alone."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mtil.cli import app
from mtil.policies.checkpoint import load_policy

OPEN, CLOSE, REACH = "drawer-open-v3", "drawer-close-v3", "FetchReach-v4"
COLLECTION = ("--noise", "0.1", "--workers", 1)
CONFIG = {
    "suite": "metaworld-mt10",
    "data": {
        "batch_size": 64,
        "observations": ["objects", "target", "proprio"],
        "mixture": [
            {"path": "drawers", "weight": 3, "keys": {"target": "goal"}},
            {"path": "fetch", "keys": {"objects": "observation", "target": "desired_goal", "proprio": None}},
        ],
    },
    "policy": {"task_encoder": {"kind": "one_hot"}, "trunk": {"width": 128, "depth": 2}},
    "trainer": {"max_steps": 800, "threads": 1, "progress_bar": False, "keep_every": 400},
}


def mtil(*arguments: str | Path | int) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of two robots, the second one's in LeRobot's format, and a policy trained on both."""
    folder = tmp_path_factory.mktemp("workshop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        drawers = ("--tasks", f"{OPEN},{CLOSE}", "--episodes-per-task", 8, "--max-steps", 120)
        mtil("collect", "metaworld-mt10", "--out", "drawers", *drawers, *COLLECTION)
        mtil("collect", "fetch", "--out", "collected", "--tasks", REACH, "--episodes-per-task", 20, *COLLECTION)
        mtil("convert", "collected", "fetch", "--to", "lerobot")
        Path("mixed.yaml").write_text(yaml.safe_dump(CONFIG))
        Path("said.txt").write_text(mtil("train", "mixed.yaml", "--out", "run"))
    return folder


@pytest.fixture(autouse=True)
def there(workshop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workshop)


def rates(*arguments: str | int) -> dict[str, float]:
    mtil("evaluate", "run", "--json", "result.json", "--workers", 1, *arguments)
    found: dict[str, Any] = json.loads(Path("result.json").read_text())
    return {task["task"]: task["rate"] for task in found["tasks"]}


def test_it_is_said_what_is_mixed() -> None:
    said = [line.split() for line in Path("said.txt").read_text().splitlines()]
    assert ["drawers", "2", "16", "75.0%"] in said
    assert ["fetch", "1", "20", "25.0%", "proprio"] in said


def test_it_does_what_it_is_told_in_both_simulators() -> None:
    """Each shows the observations of its own, under its own names."""
    drawers = rates("--episodes", 3)
    assert set(drawers) == {OPEN, CLOSE}
    assert min(drawers.values()) >= 2 / 3
    assert rates("--episodes", 6, "--suite", "fetch")[REACH] >= 4 / 6


def test_a_resumed_run_is_the_uninterrupted_one() -> None:
    shutil.copytree("run", "again")
    Path("again/checkpoints/step-400.ckpt").rename("again/checkpoints/last.ckpt")
    mtil("train", "mixed.yaml", "--out", "again", "--resume")
    expected, found = (load_policy(Path(run)).policy.state_dict() for run in ("run", "again"))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_it_is_fine_tuned_on_one_of_them_and_keeps_the_other() -> None:
    """As what it was: its own keys, and its own normalisation."""
    mtil("collect", "fetch", "--out", "pushing", "--tasks", "FetchPush-v4", "--episodes-per-task", 4, *COLLECTION)
    mixture = "[{path: pushing, name: fetch, keys: {objects: observation, target: desired_goal, proprio: null}}]"
    changes = ("data.path=null", f"data.mixture={mixture}", "trainer.max_steps=20")
    mtil("finetune", "run", "--data", "pushing", *changes, "--out", "tuned")
    before, after = (load_policy(Path(run)).policy for run in ("run", "tuned"))
    assert after.spec.task_names == [CLOSE, OPEN, REACH, "FetchPush-v4"]
    assert {each.name: each.tasks for each in after.spec.embodiments} == {
        "drawers": (CLOSE, OPEN),
        "fetch": (REACH, "FetchPush-v4"),
    }
    assert torch.equal(before.action_normalizer.scale, after.action_normalizer.scale)
