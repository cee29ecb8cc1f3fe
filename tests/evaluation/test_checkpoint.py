"""From a checkpoint to a table, in the toy and in real physics."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.errors import CheckpointError, ConfigError, SimulatorError
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import read_json
from mtil.policies.checkpoint import CARD, Card
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.sim.base import load
from mtil.types import DatasetSpec, FeatureSpec, Task

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
EVALUATE = Path(__file__).parents[2] / "scripts" / "evaluate.py"
ONE_HOT = {"task_encoder": {"kind": "one_hot", "width": 4}, "trunk": {"width": 8, "depth": 1}, "history": 2}
Evaluate = Callable[..., EvaluationResult]


def save(policy: Policy, path: Path, *, suite: str | None) -> Path:
    state = {f"policy.{name}": value for name, value in policy.state_dict().items()}
    card = Card(policy.config, policy.spec, suite).to_json()
    torch.save({"state_dict": state, "global_step": 12, CARD: card}, path)
    return path


@pytest.fixture
def checkpoint(toy_suite: str, tmp_path: Path) -> Path:
    """An untrained policy for three tasks, two of them in the toy."""
    position, goal = (FeatureSpec(key, (2,), "float32", "state") for key in ("position", "goal"))
    action = FeatureSpec("actions", (2,), "float32", "action")
    widths = {feature.key: (2, 2, 2) for feature in (position, goal, action)}
    spec = DatasetSpec((Task("far"), Task("elsewhere"), Task("near")), (position, goal), action, widths)
    torch.manual_seed(0)
    return save(Policy(PolicyConfig.model_validate(ONE_HOT), spec), tmp_path / "toy.ckpt", suite=toy_suite)


@pytest.fixture
def run() -> Evaluate:
    """Evaluates with the command line's defaults, but for two episodes in this many workers."""

    def run(path: Path, **changes: Any) -> EvaluationResult:
        settings = {"suite": None, "episodes": 2, "seed": 0, "tasks": None, "condition": None}
        return evaluate_checkpoint(path, **settings | {"instructions": None, "video": None, "workers": 1} | changes)

    return run


def test_evaluates_what_policy_and_suite_have_in_common(checkpoint: Path, run: Evaluate) -> None:
    result = run(checkpoint)
    assert [(task.task, task.episodes) for task in result.tasks] == [("near", 2), ("far", 2)]
    assert result.protocol.suite == "toy"
    assert result.protocol.condition == "one_hot"
    assert result.protocol.checkpoint == f"{checkpoint} (step 12, averaged weights)"


def test_episodes_are_those_of_the_seed(checkpoint: Path, run: Evaluate) -> None:
    assert run(checkpoint, tasks=["near"]).tasks == run(checkpoint, suite="toy", workers=2).tasks[:1]


def test_ranks_report_as_one_does(checkpoint: Path, run: Evaluate, launch: Callable[..., Any], tmp_path: Path) -> None:
    """Three episodes of a task, on two ranks; the first alone speaks."""
    file = tmp_path / "result.json"
    command = [EVALUATE, checkpoint, "--tasks", "far", "--episodes", 3, "--workers", 1, "--json", file]
    first, second = launch([command] * 2)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert read_json(file) == run(checkpoint, tasks=["far"], episodes=3)
    assert "far" in first.stdout
    assert "rank 0 of 2 is evaluating" in first.stderr
    assert (second.stdout, second.stderr) == ("", "")


def test_ranks_that_found_different_checkpoints(checkpoint: Path, launch: Callable[..., Any], tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    torch.save(content | {"global_step": 13}, tmp_path / "later.ckpt")
    found = launch([[EVALUATE, path, "--episodes", 1] for path in (checkpoint, tmp_path / "later.ckpt")])
    for rank, step in enumerate((12, 13)):
        assert found[rank].returncode == 1
        *_, said = found[rank].stderr.splitlines()
        assert said.startswith(f"mtil, rank {rank} of 2: ")
        assert f"found step {step}, but other ranks found another" in said


def test_what_does_not_fit(checkpoint: Path, run: Evaluate, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run directory or checkpoint"):
        run(tmp_path / "nowhere")
    with pytest.raises(SimulatorError, match="unknown simulator 'toi'; did you mean 'toy'"):
        run(checkpoint, suite="toi")
    with pytest.raises(CheckpointError, match="unknown condition for this policy 'language'"):
        run(checkpoint, condition="language")
    with pytest.raises(CheckpointError, match="the policy was not trained on 'impossible'"):
        run(checkpoint, tasks=["impossible"])
    (tmp_path / "told.yaml").write_text("near: [come]\n")
    with pytest.raises(ConfigError, match="instructions are given, but the policy is conditioned on one_hot"):
        run(checkpoint, instructions=tmp_path / "told.yaml")


def test_no_suite_is_named(checkpoint: Path, run: Evaluate, tmp_path: Path) -> None:
    content = torch.load(checkpoint, weights_only=True)
    content[CARD]["suite"] = None
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt: does not name a simulator; choose one with --suite"):
        run(tmp_path / "x.ckpt")


def test_a_suite_without_a_camera(
    checkpoint: Path, run: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(load("toy")), "camera", None, raising=False)
    with pytest.raises(SimulatorError, match="toy: has no camera to film with; leave --video out"):
        run(checkpoint, video=tmp_path)


def test_the_table_does_not_depend_on_the_workers(run: Evaluate, tmp_path: Path) -> None:
    """A policy for two of the sample's tasks, in Meta-World: the same to the last bit."""
    data = DemoDataModule(
        DataConfig(path=SAMPLE, tasks=("drawer-close-v3", "reach-v3")), history=2, chunk=1, kinds=("one_hot",), seed=0
    )
    torch.manual_seed(0)
    policy = Policy(PolicyConfig.model_validate(ONE_HOT), data.store.spec)
    policy.fit(data.statistics)
    path = save(policy, tmp_path / "x.ckpt", suite="metaworld-mt10")
    one, two = (run(path, tasks=["drawer-close-v3"], workers=workers) for workers in (1, 2))
    assert one == two
    assert [(task.task, task.episodes) for task in one.tasks] == [("drawer-close-v3", 2)]
    assert one.protocol.horizon == 500
