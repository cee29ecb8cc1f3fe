"""Tasks of several datasets that their simulators call alike."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mtil.errors import DatasetError, SimulatorError
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.residence import residents
from mtil.evaluation.settings import EvaluationSettings
from mtil.policies.policy import Policy
from mtil.sim.base import load
from mtil.types import CameraView, DatasetSpec, Embodiment, Task

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


def test_a_camera_shows_one_thing_at_a_time(apprentice: Policy) -> None:
    spec = two_datasets(apprentice.spec, ALIKE)
    small, large = CameraView("corner", 64), CameraView("corner", 96)
    one, other = spec.embodiments
    spec = replace(spec, embodiments=(replace(one, views=(small,)), replace(other, views=(large,))))
    assert spec.views(["b-far"]) == (large,)
    with pytest.raises(DatasetError, match=r"camera 'corner': expected one view.*size=64.*those of one and.*size=96"):
        spec.views(["near", "b-far"])
