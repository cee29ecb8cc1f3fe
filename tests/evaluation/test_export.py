"""The export of a run: the policy that was evaluated, and how often it succeeded."""

from pathlib import Path

import pytest
import torch

from mtil.errors import CheckpointError, OutputError
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.export import export
from mtil.evaluation.settings import EvaluationSettings
from mtil.policies.checkpoint import load_policy


def test_it_is_the_policy_of_the_run(run_directory: Path, tmp_path: Path) -> None:
    (run_directory / "config.yaml").write_text("seed: 3\n")
    export(run_directory, tmp_path / "export")
    found, expected = load_policy(tmp_path / "export"), load_policy(run_directory)
    assert (found.card, found.step) == (expected.card, expected.step)
    state = expected.policy.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in found.policy.state_dict().items())
    assert found.training is not None
    assert found.training.read_text() == "seed: 3\n"
    assert "It has not been evaluated." in (tmp_path / "export" / "README.md").read_text()


def test_the_card_tells_how_often_it_succeeds(run_directory: Path, tmp_path: Path) -> None:
    """By its evaluation with the most episodes, no control among them."""
    evaluations = (EvaluationSettings(episodes=2), EvaluationSettings(episodes=4), EvaluationSettings(control="wrong"))
    results = [evaluate_checkpoint(run_directory, settings, workers=1) for settings in evaluations]
    export(run_directory, tmp_path / "export")
    text = (tmp_path / "export" / "README.md").read_text()
    expected = results[1]
    assert text.count("| task | success % |") == 1
    assert "4 episodes a task" in text
    for task in expected.tasks:
        assert f"| {task.task} | {100 * task.rate:.1f} | {100 * task.low:.1f} - {100 * task.high:.1f} |" in text
    assert f"**{100 * expected.mean.rate:.1f}**" in text


def test_an_export_is_evaluated_as_its_run_is(run_directory: Path, tmp_path: Path) -> None:
    export(run_directory, tmp_path / "export")
    settings = EvaluationSettings(episodes=3)
    found, expected = (evaluate_checkpoint(path, settings, workers=1) for path in (tmp_path / "export", run_directory))
    assert found.outcomes == expected.outcomes
    assert found.protocol.weights == expected.protocol.weights
    assert "model.safetensors (step 12" in found.protocol.checkpoint


def test_what_cannot_be_exported(run_directory: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such run directory"):
        export(tmp_path / "nowhere", tmp_path / "export")
    with pytest.raises(OutputError, match="run: exists already"):
        export(run_directory, run_directory)
