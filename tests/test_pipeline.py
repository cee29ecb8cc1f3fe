"""From the simulator to a policy that does what it is told, through the command line alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mtil.cli import app
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.policies.checkpoint import load_policy

OPEN, CLOSE = "drawer-open-v3", "drawer-close-v3"
COLLECTION = ("--episodes-per-task", 8, "--noise", "0.1", "--max-steps", 120, "--workers", 1)
CONFIG = {
    "suite": "metaworld-mt10",
    "data": {"batch_size": 64},
    "policy": {"task_encoder": {"kind": "language"}, "trunk": {"width": 128, "depth": 2}},
    "trainer": {"max_steps": 800, "threads": 1, "progress_bar": False},
}


def mtil(*arguments: str | Path | int) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demonstrations of two tasks and a policy trained on them."""
    folder = tmp_path_factory.mktemp("workshop")
    mtil("collect", "metaworld-mt10", "--out", folder / "demos", "--tasks", f"{OPEN},{CLOSE}", *COLLECTION)
    (folder / "drawers.yaml").write_text(yaml.safe_dump(CONFIG))
    mtil("train", folder / "drawers.yaml", f"data.path={folder / 'demos'}", "--out", folder / "run")
    return folder


def evaluate(workshop: Path, *arguments: str | Path | int) -> dict[str, Any]:
    path = workshop / "result.json"
    mtil("evaluate", workshop / "run", "--json", path, "--workers", 1, *arguments)
    return json.loads(path.read_text())


def test_the_policy_opens_and_closes_a_drawer(workshop: Path) -> None:
    found = evaluate(workshop, "--episodes", 3)
    checkpoint = found["protocol"].pop("checkpoint")
    assert checkpoint.startswith(str(workshop / "run" / "checkpoints" / "last.ckpt"))
    assert found["protocol"].pop("success")
    fixed = {"suite": "metaworld-mt10", "seed": 0, "episodes_per_task": 3, "horizon": 500, "condition": "language"}
    assert found["protocol"].items() >= fixed.items()
    assert [task["task"] for task in found["tasks"]] == [OPEN, CLOSE]
    for task in found["tasks"]:
        assert list(task) == ["task", "episodes", "successes", "rate", "low", "high", "mean_length"]
        assert task["episodes"] == 3
        assert task["rate"] == task["successes"] / 3
        assert 0 <= task["low"] <= task["rate"] <= task["high"] <= 1
        assert task["successes"] >= 2
    assert list(found["mean"]) == ["rate", "low", "high"]


def test_told_the_opposite_it_fails(workshop: Path) -> None:
    """If z were shuffled or ignored, it would not matter what the policy is told. (Fumbling, it succeeds by chance.)"""
    told = {file.task.name: list(file.task.instructions) for file in open_tasks(workshop / "demos")}
    path = workshop / "swapped.yaml"
    path.write_text(yaml.safe_dump({OPEN: told[CLOSE], CLOSE: told[OPEN]}))
    found = evaluate(workshop, "--episodes", 5, "--instructions", path)
    assert found["mean"]["rate"] <= 0.2


@torch.inference_mode()
def test_the_demonstrations_are_unlikely_under_the_opposite_sentence(workshop: Path) -> None:
    policy = load_policy(workshop / "run").policy
    data = DemoDataModule(
        DataConfig(path=workshop / "demos", batch_size=256), history=1, chunk=1, kinds={"language": 1.0}, seed=0
    )
    batch = next(iter(data.train_dataloader()))
    z = policy.embed("language", [task.instructions[0] for task in policy.spec.tasks])
    right, wrong = (policy.nll(batch, z[told]) for told in (batch.task, 1 - batch.task))
    for position in range(2):
        of_task = batch.task == position
        assert wrong[of_task].mean() > right[of_task].mean() + 5  # nats


def test_a_third_task_joins_what_was_exported(workshop: Path) -> None:
    """Exported, fine-tuned on a few demonstrations of another task, and compared with what it was."""
    new, run, export = "window-open-v3", workshop / "finetuned", workshop / "export"
    mtil("collect", "metaworld-mt10", "--out", workshop / "new", "--tasks", new, *COLLECTION)
    mtil("export", workshop / "run", "--out", export)
    settings = ("trainer.max_steps=300", "data.rehearsal.share=0.3", f"data.rehearsal.path={workshop / 'demos'}")
    mtil("finetune", export, "--data", workshop / "new", *settings, "--out", run)
    for policy, file in ((export, "before.json"), (run, "after.json")):
        tasks = ("--tasks", f"{OPEN},{CLOSE},{new}", "--episodes", 2, "--workers", 1)
        mtil("evaluate", policy, *tasks, "--json", workshop / file)
    mtil("compare", workshop / "after.json", workshop / "before.json", "--json", workshop / "transfer.json")
    found = json.loads((workshop / "transfer.json").read_text())["transfer"]
    assert found["new"]["tasks"] == [new]
    assert found["new"]["after"]["rate"] == 1
    assert sorted(found["known"]["tasks"]) == sorted([OPEN, CLOSE])
    assert found["forgetting"]["difference"] <= 0.5
