from pathlib import Path

import pytest
import torch

from mtil.errors import SimulatorError
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.rollout import Recording
from mtil.evaluation.trials import all_filmed, first_filmed, trials_of
from mtil.sim.base import placement

GO, STAY = Descriptor("go", torch.ones(1)), Descriptor("stay", torch.zeros(1))
TOLD = {"near": [GO, STAY], "far": [STAY]}


def test_a_trial_depends_on_nothing_beside_it() -> None:
    everything = trials_of(["near", "far"], TOLD, episodes=range(5), seed=3)
    assert [(trial.task, trial.episode) for trial in everything] == [(task, j) for task in TOLD for j in range(5)]
    assert everything[3:4] == trials_of(["near"], TOLD, episodes=[3], seed=3)
    assert [trial.told for trial in everything[:5]] == ["go", "stay", "go", "stay", "go"]
    assert all(trial.placement == placement("evaluation", 3, trial.task, trial.episode) for trial in everything)


def test_films_are_taken_of_the_first_episodes_or_of_all() -> None:
    trials, recording = trials_of(list(TOLD), TOLD, episodes=range(2), seed=0), Recording(Path("films"), "top")
    assert [trial.video and trial.video.name for trial in first_filmed(trials, recording)] == [
        "near.mp4", None, "far.mp4", None]  # fmt: skip
    assert [trial.video and trial.video.name for trial in all_filmed(trials, recording)] == [
        "near-0.mp4", "near-1.mp4", "far-0.mp4", "far-1.mp4"]  # fmt: skip
    assert first_filmed(trials, None) == all_filmed(trials, None) == trials


def test_a_task_that_nothing_tells() -> None:
    with pytest.raises(SimulatorError, match="task 'far': no descriptor tells the policy of it; told: near"):
        trials_of(["far"], {"near": [GO]}, episodes=[0], seed=0)
