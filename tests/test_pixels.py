"""From cameras in the simulator to a policy that sees, through the command line alone."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

from mtil.cli import app
from mtil.policies.checkpoint import load_policy
from mtil.types import CameraView

TASKS = ("drawer-close-v3", "button-press-topdown-v3")
CONFIG: dict[str, Any] = {
    "suite": "metaworld-mt10",
    "data": {
        "batch_size": 16,
        "observations": ["corner_image", "proprio"],
        "targets": ["goal"],
        "tasks": list(TASKS),
        "augmentation": {"shift": 1},
        "validation_fraction": 0.5,
    },
    "collection": {"episodes_per_task": 2, "cameras": {"corner": {"size": 32, "crop": [0.2, 0.2, 0.8, 0.8]}}},
    "policy": {
        "history": 2,
        "chunk": 6,
        "execution": {"kind": "first", "steps": 3},
        "task_encoder": {"kind": "one_hot"},
        "image_encoder": {"channels": [16, 16], "keypoints": 8},
        "trunk": {"kind": "transformer", "width": 32, "depth": 1, "heads": 2},
    },
    "trainer": {"max_steps": 12, "threads": 1, "progress_bar": False, "precision": "bf16-mixed", "validate_every": 6},
}


def mtil(*arguments: str | Path | int) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demonstrations that show images, and a policy trained on them."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "seeing.yaml").write_text(yaml.safe_dump(CONFIG))
    mtil("train", folder / "seeing.yaml", f"data.path={folder / 'demos'}", "--out", folder / "run")
    return folder


def test_the_policy_knows_what_it_is_to_be_shown(workshop: Path) -> None:
    assert load_policy(workshop / "run").policy.spec.views("drawer-open-v3") == (
        CameraView("corner", 32, (0.2, 0.2, 0.8, 0.8)),
    )


def test_the_simulator_shows_it(workshop: Path) -> None:
    """To the bit the same on one process as on two."""
    found = []
    for workers in (1, 2):
        path = workshop / f"{workers}.json"
        mtil("evaluate", workshop / "run", "--episodes", 1, "--workers", workers, "--json", path)
        result = json.loads(path.read_text())
        assert [task["task"] for task in result["tasks"]] == [*TASKS]
        found.append([(each["task"], each["success"], each["length"]) for each in result["outcomes"]])
    assert found[0] == found[1]


def test_a_resumed_run_sees_the_same(workshop: Path) -> None:
    """Images, augmentation and all: the weights are those of a run that was never stopped."""
    run = ("train", workshop / "seeing.yaml", f"data.path={workshop / 'demos'}", "--out", workshop / "again")
    mtil(*run, "trainer.max_steps=6")
    mtil(*run, "--resume")
    once, twice = (load_policy(workshop / name).policy.state_dict() for name in ("run", "again"))
    assert all(torch.equal(once[name], twice[name]) for name in once)
