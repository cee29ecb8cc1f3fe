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
from mtil.evaluation.results import read_json, results_of
from mtil.evaluation.settings import EvaluationSettings, Replay
from mtil.policies.checkpoint import CARD
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.sim.base import load

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
EVALUATE = Path(__file__).parents[2] / "scripts" / "evaluate.py"
ONE_HOT = {"task_encoder": {"kind": "one_hot", "width": 4}, "trunk": {"width": 8, "depth": 1}, "history": 2}
Evaluate = Callable[..., EvaluationResult]


@pytest.fixture
def run() -> Evaluate:
    """Evaluates with the command line's defaults, but for two episodes in this many workers."""

    def run(path: Path, *, workers: int = 1, episodes: int = 2, **changes: Any) -> EvaluationResult:
        files = {key: changes.pop(key) for key in ("replay", "video", "json") if key in changes}
        return evaluate_checkpoint(path, EvaluationSettings(episodes=episodes, **changes), workers=workers, **files)

    return run


def test_evaluates_what_policy_and_suite_have_in_common(checkpoint: Path, run: Evaluate) -> None:
    result = run(checkpoint)
    assert [(task.task, task.episodes) for task in result.tasks] == [("near", 2), ("far", 2)]
    assert result.protocol.suite == "toy"
    assert result.protocol.condition == "one_hot"
    assert result.protocol.checkpoint == f"{checkpoint} (step 12, averaged weights)"


def test_episodes_are_those_of_the_seed(checkpoint: Path, run: Evaluate) -> None:
    assert run(checkpoint, tasks=("near",)).tasks == run(checkpoint, suite="toy", workers=2).tasks[:1]


def test_ranks_report_as_one_does(checkpoint: Path, run: Evaluate, launch: Callable[..., Any], tmp_path: Path) -> None:
    """Three episodes of a task, on two ranks; the first alone speaks."""
    file = tmp_path / "result.json"
    command = [EVALUATE, checkpoint, "--tasks", "far", "--episodes", 3, "--workers", 1, "--json", file]
    first, second = launch([command] * 2)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert read_json(file) == run(checkpoint, tasks=("far",), episodes=3)
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
    with pytest.raises(CheckpointError, match="no such run directory, export or checkpoint"):
        run(tmp_path / "nowhere")
    with pytest.raises(SimulatorError, match="unknown simulator 'toi'; did you mean 'toy'"):
        run(checkpoint, suite="toi")
    with pytest.raises(CheckpointError, match="unknown condition for this policy 'language'"):
        run(checkpoint, condition="language")
    with pytest.raises(CheckpointError, match="the policy was not trained on 'impossible'"):
        run(checkpoint, tasks=("impossible",))
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


def test_the_table_does_not_depend_on_the_workers(run: Evaluate, save: Callable[..., Path], tmp_path: Path) -> None:
    """A policy for two of the sample's tasks, in Meta-World: the same to the last bit."""
    data = DemoDataModule(
        DataConfig(path=SAMPLE, tasks=("drawer-close-v3", "reach-v3")),
        history=2,
        chunk=1,
        kinds={"one_hot": 1.0},
        seed=0,
    )
    torch.manual_seed(0)
    policy = Policy(PolicyConfig.model_validate(ONE_HOT), data.store.spec)
    policy.fit(data.statistics)
    path = save(policy, tmp_path / "x.ckpt", suite="metaworld-mt10")
    one, three = (run(path, tasks=("drawer-close-v3",), episodes=4, workers=workers) for workers in (1, 3))
    assert one == three
    assert [(task.task, task.episodes) for task in one.tasks] == [("drawer-close-v3", 4)]
    assert one.protocol.horizon == 500


def test_a_result_is_kept_in_the_run_directory(run_directory: Path, run: Evaluate, tmp_path: Path) -> None:
    result = run(run_directory, json=tmp_path / "mine.json")
    ((path, kept),) = results_of(run_directory).items()
    assert kept == result == read_json(tmp_path / "mine.json")
    before = path.read_bytes()
    run(run_directory / "checkpoints" / "last.ckpt", workers=2)
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == before
    run(run_directory, seed=1)
    run(run_directory, control="absent")
    assert len(results_of(run_directory)) == 3


def test_a_control_tells_another_task_or_nothing(checkpoint: Path, run: Evaluate) -> None:
    right, wrong, absent = (run(checkpoint, episodes=8, control=control) for control in (None, "wrong", "absent"))
    assert [result.protocol.control for result in (right, wrong, absent)] == [None, "wrong", "absent"]
    assert [{outcome.told for outcome in result.outcomes} for result in (right, wrong, absent)] == [
        {"near", "far"}, {"near", "far"}, {""}]  # fmt: skip
    assert all(outcome.told != outcome.task for outcome in wrong.outcomes)
    lengths = [[outcome.length for outcome in result.outcomes] for result in (right, wrong, absent)]
    assert all(lengths[0] != other for other in lengths[1:])


def test_an_episode_is_replayed_as_it_was(run_directory: Path, run: Evaluate, tmp_path: Path) -> None:
    whole = run(run_directory, episodes=6, control="wrong")
    kept = results_of(run_directory)
    replayed = run(run_directory, replay=Replay(5), control="wrong", json=tmp_path / "5.json")
    assert replayed.outcomes == (whole.outcomes[5], whole.outcomes[11])
    assert (replayed.protocol.replay, replayed.protocol.episodes_per_task) == (5, 1)
    assert run(run_directory, replay=Replay(5, "far"), control="wrong").outcomes == (whole.outcomes[11],)
    assert read_json(tmp_path / "5.json") == replayed
    assert results_of(run_directory) == kept


def test_instructions_for_a_policy_that_is_told_nothing(checkpoint: Path, run: Evaluate, tmp_path: Path) -> None:
    (tmp_path / "told.yaml").write_text("near: [come]\n")
    with pytest.raises(ConfigError, match="control 'absent' tells the policy nothing; leave one of them out"):
        run(checkpoint, instructions=tmp_path / "told.yaml", control="absent")
