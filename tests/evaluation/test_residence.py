"""Tasks of several datasets that their simulators call alike."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mtil.errors import ConfigError, SimulatorError
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.controls import controlled
from mtil.evaluation.residence import missing, residents
from mtil.evaluation.rollout import Observation, roll_out
from mtil.evaluation.settings import EvaluationSettings
from mtil.evaluation.trials import trials_of
from mtil.policies.policy import Policy
from mtil.sim.base import load
from mtil.types import CameraView, DatasetSpec, Embodiment, FeatureSpec, Task

ALIKE = {"position": "position", "goal": "goal"}
OTHERWISE = {"position": "pose", "goal": "goal"}


def two_datasets(spec: DatasetSpec, keys: dict[str, str]) -> DatasetSpec:
    """`far` and `near` of one, and `far` of another, whose simulator calls observations so."""
    one = Embodiment("one", ("far", "near"), ALIKE)
    other = Embodiment("other", ("b-far",), keys, prefix="b-")
    return replace(spec, tasks=(Task("far"), Task("b-far"), Task("near")), embodiments=(one, other))


def of_both(policy: Policy, keys: dict[str, str]) -> Policy:
    """The same policy, which does in `b-far` what it does in `far`."""
    found = Policy(policy.config, two_datasets(policy.spec, keys))
    state = policy.state_dict()
    state |= {name: torch.stack([value] * 2) for name, value in state.items() if name.endswith((".shift", ".scale"))}
    found.load_state_dict(state)
    table = next(value for name, value in found.named_parameters() if "one_hot" in name)
    with torch.no_grad():
        table[1] = table[0]
    return found


def test_each_is_evaluated_in_the_task_of_its_simulator(
    apprentice: Policy, save: Callable[..., Path], toy_suite: str, tmp_path: Path
) -> None:
    """Under its own name; of one task of the simulator, the placements are the same."""
    path = save(of_both(apprentice, ALIKE), tmp_path / "both.ckpt", suite=toy_suite)
    result = evaluate_checkpoint(path, EvaluationSettings(episodes=5, seed=3), workers=2)
    assert [task.task for task in result.tasks] == ["near", "far", "b-far"]
    ended = {
        task: [(each.placement, each.success, each.length) for each in result.outcomes if each.task == task]
        for task in ("far", "b-far", "near")
    }
    assert ended["far"] == ended["b-far"] != ended["near"]
    alone = evaluate_checkpoint(path, EvaluationSettings(episodes=5, seed=3, tasks=("b-far",)), workers=1)
    assert alone.outcomes == tuple(each for each in result.outcomes if each.task == "b-far")


def test_a_task_lives_where_its_observations_are_shown(
    apprentice: Policy, save: Callable[..., Path], toy_suite: str, tmp_path: Path
) -> None:
    suite, spec = load(toy_suite), apprentice.spec
    assert residents(two_datasets(spec, ALIKE), suite) == ["near", "far", "b-far"]
    assert residents(two_datasets(spec, OTHERWISE), suite) == ["near", "far"]
    narrow = replace(two_datasets(spec, ALIKE), widths={**spec.widths, "goal": (2, 1, 2)})
    assert residents(narrow, suite) == ["near", "far"]
    assert residents(replace(spec, tasks=(Task("elsewhere"),) * 3), suite) == []
    path = save(of_both(apprentice, OTHERWISE), tmp_path / "both.ckpt", suite=toy_suite)
    with pytest.raises(SimulatorError, match="observation 'pose': the policy needs it; the simulator gives"):
        evaluate_checkpoint(path, EvaluationSettings(episodes=1, tasks=("b-far",)), workers=1)


def test_a_policy_of_images_lives_where_they_can_be_taken(apprentice: Policy, toy_suite: str) -> None:
    """By a camera of the simulator, whatever it shows in the tasks of another dataset."""
    image = FeatureSpec("seen", (16, 16, 3), "uint8", "image", scaled=True)
    spec = two_datasets(apprentice.spec, OTHERWISE)
    one, other = (
        replace(each, keys={"seen": f"{camera}_image"})
        for each, camera in zip(spec.embodiments, ("top", "my"), strict=True)
    )
    one = replace(one, views=(CameraView("top", 16),))
    spec = replace(spec, observations=(image,), embodiments=(one, other))
    assert residents(spec, load(toy_suite)) == ["near", "far"]
    assert missing(spec, load(toy_suite), "b-far") == "my_image"
    elsewhere = replace(other, keys={"seen": "front_image"}, views=(CameraView("front", 16),))
    assert missing(replace(spec, embodiments=(one, elsewhere)), load(toy_suite), "b-far") == "front_image"
    other = replace(other, keys={"seen": "top_image"}, views=(CameraView("top", 24),))
    spec = replace(spec, embodiments=(one, other))
    assert residents(spec, load(toy_suite)) == ["near", "far", "b-far"]
    told = {task: [Descriptor("go", torch.zeros(4))] for task in spec.task_names}
    trials = trials_of(["near", "b-far"], told, episodes=range(1), seed=0, spec=spec)
    assert [(trial.task, trial.called, trial.views[0].size) for trial in trials] == [
        ("near", None, 16),
        ("b-far", "far", 24),
    ]
    seen = set()

    class Spectator:
        slots = 2

        def reset(self, row: int, z: Tensor, task: str) -> None: ...

        def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
            seen.update(each["top_image"].shape for each in observations if each is not None)
            return [None if each is None else np.zeros(2, np.float32) for each in observations]

    assert len(list(roll_out(Spectator(), trials, simulator=toy_suite, workers=1))) == 2
    assert seen == {(16, 16, 3), (24, 24, 3)}


def test_what_no_other_is_called_like_is_not_left_out(apprentice: Policy, toy_suite: str) -> None:
    """What it lacks is told as it is evaluated."""
    spec = two_datasets(apprentice.spec, OTHERWISE)
    one, other = spec.embodiments
    spec = replace(spec, embodiments=(replace(one, tasks=("near",)), replace(other, tasks=("far", "b-far"), prefix="")))
    assert residents(spec, load(toy_suite)) == ["near", "far"]


def test_told_another_task_is_told_one_of_another_name(apprentice: Policy) -> None:
    spec = two_datasets(apprentice.spec, ALIKE)
    told = {task: [Descriptor(task, torch.zeros(4))] for task in spec.task_names}
    found = controlled(told, "wrong", seed=0, called=spec.simulated)
    assert {task: way[0].words for task, way in found.items()} == {"far": "near", "b-far": "near", "near": "far"}
    alike = {task: told[task] for task in ("far", "b-far")}
    with pytest.raises(
        ConfigError, match="expected two tasks at least, to tell one as the other; found 'far', 'b-far'"
    ):
        controlled(alike, "wrong", seed=0, called=spec.simulated)
