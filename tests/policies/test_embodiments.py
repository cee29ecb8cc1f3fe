"""A policy of several datasets: the numbers of each are normalised by its own statistics, wherever they come from."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from robots import HEADS, UNITS, every, mixture, module, nll, policy_of

from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.errors import DatasetError, SimulatorError
from mtil.policies.actor import Actor
from mtil.types import Episode, Task


@pytest.mark.parametrize("mode", ["mean_std", "min_max", "quantile"])
@pytest.mark.parametrize("head", HEADS, ids=lambda head: head["kind"])
def test_units_do_not_matter(opposites: Path, millimetres: Path, head: dict[str, Any], mode: str) -> None:
    """The same demonstrations in other units are as likely, but for the units; and the same is done."""
    data = mixture(opposites, millimetres)
    normalization = {"observations": mode, "actions": mode}
    policy, batch = policy_of(data, head=head, normalization=normalization), every(data)
    half = len(batch) // 2
    found = nll(policy, batch)
    per_unit = np.log(UNITS) * batch.action_mask.sum((1, 2))
    torch.testing.assert_close(found[half:] - per_unit[half:], found[:half], atol=2e-2, rtol=1e-3)
    z = torch.zeros(len(batch), 8)
    embodiment = (batch.task >= 2).long()
    with torch.no_grad():
        actions = policy.act(batch.observations, batch.observation_mask, z, embodiment)
    torch.testing.assert_close((actions[half:] + 3) / UNITS, actions[:half], atol=2e-3, rtol=1e-3)


def test_one_dataset_of_several_is_as_that_dataset_alone(opposites: Path, millimetres: Path) -> None:
    """To the bit: the same weights make the same of its windows."""
    data, alone = mixture(opposites, millimetres), module(path=opposites)
    several, single = policy_of(data), policy_of(alone)
    weights = {name: value for name, value in several.state_dict().items() if "task_encoders" not in name}
    first = {name: value[0] if name.endswith((".shift", ".scale")) else value for name, value in weights.items()}
    single.load_state_dict({**single.state_dict(), **first})
    assert torch.equal(first["action_normalizer.scale"], policy_of(alone).action_normalizer.scale)
    own = every(alone)
    assert torch.equal(nll(several, every(data))[: len(own)], nll(single, own))


def test_an_actor_knows_each_simulators_keys_and_units(opposites: Path, millimetres: Path) -> None:
    data = mixture(opposites, millimetres)
    policy = policy_of(data)
    (left, *_), (too, *_) = open_tasks(opposites), open_tasks(millimetres)
    actor = Actor(policy, slots=2)
    for row, task in enumerate((left, too)):
        actor.reset(row, torch.zeros(8), task.task.name)
    episodes = [task.read("demo_0").observations for task in (left, too)]
    for step in range(4):
        one, other = actor.act([{key: array[step] for key, array in episode.items()} for episode in episodes])
        np.testing.assert_allclose((np.asarray(other) + 3) / UNITS, np.asarray(one), atol=2e-3)
    with pytest.raises(SimulatorError, match="observation 'my_goal': the policy needs it; the simulator gives"):
        actor.act([None, {key: array[0] for key, array in episodes[0].items()}])


def test_an_actor_sees_black_where_there_is_no_camera(one_camera: Callable[[], DemoDataModule]) -> None:
    """Also in a slot where something was seen before."""
    data = one_camera()
    policy = policy_of(data)
    actor = Actor(policy, slots=1)
    seen = {"proprio": np.ones(3, np.float32), "camera": np.full((32, 32, 3), 200, np.uint8)}
    unseen = {"proprio": np.ones(3, np.float32)}
    actor.reset(0, torch.zeros(8), "blind")
    (blind,) = actor.act([unseen])
    actor.reset(0, torch.zeros(8), "seeing")
    actor.act([seen])
    actor.reset(0, torch.zeros(8), "blind")
    (again,) = actor.act([unseen])
    np.testing.assert_array_equal(blind, again)


@pytest.fixture
def one_camera(tmp_path: Path) -> Callable[[], DemoDataModule]:
    """Makes the data of a task that is seen by a camera, and of one in another dataset that is not."""
    rng = np.random.default_rng(0)

    def episode(*, seen: bool) -> Episode:
        observations = {"proprio": rng.normal(size=(6, 3)).astype(np.float32)}
        if seen:
            observations["camera"] = rng.integers(0, 256, (6, 32, 32, 3), np.uint8)
        signals = {"rewards": np.zeros(6, np.float32), "dones": np.arange(6) == 5}
        return Episode(observations=observations, actions=rng.normal(size=(6, 2)).astype(np.float32), **signals)

    def make() -> DemoDataModule:
        for name in ("seeing", "blind"):
            env_args = {"env_name": name, "type": 2, "env_kwargs": {}}
            file = tmp_path / name / f"{name}.hdf5"
            write_task(file, Task(name), [episode(seen=name == "seeing") for _ in range(2)], env_args=env_args)
        datasets = [{"path": tmp_path / "seeing"}, {"path": tmp_path / "blind", "keys": {"camera": None}}]
        return module(mixture=datasets, observations=["proprio", "camera"])

    return make


def test_other_data_of_an_earlier_name_are_not_taken_for_it(opposites: Path, millimetres: Path, tmp_path: Path) -> None:
    source = policy_of(mixture(opposites, millimetres))
    shutil.copytree(millimetres, tmp_path / opposites.name)
    for path in (tmp_path / opposites.name).iterdir():
        path.rename(path.with_name(f"new-{path.name}"))
    for path in (tmp_path / opposites.name).iterdir():
        (task,) = open_tasks(path)
        write_task(path, Task(f"new-{task.task.name}"), task.episodes(), env_args=task.env_args)
    with pytest.raises(DatasetError, match=f"the policy knows other data by the name '{opposites.name}'"):
        module(path=tmp_path / opposites.name, vocabulary=source.spec)


def test_what_a_dataset_was_said_not_to_have_it_has_not_later(opposites: Path, millimetres: Path) -> None:
    keys = {"proprio": "my_proprio", "goal": "my_goal"}
    source = module(mixture=[{"path": opposites, "keys": {"goal": None}}, {"path": millimetres, "keys": keys}])
    later = module(path=opposites, vocabulary=source.store.spec)
    assert later.store.spec.keys("left") == {"proprio": "proprio"}
    assert later.store.spec == source.store.spec


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (
            {"keys": {"proprio": "goal", "goal": "proprio"}},
            "goal: expected goal as the policy knows this dataset, found",
        ),
        ({"keys": {"goal": None}}, "goal: expected goal as the policy knows this dataset, found null; data.mixture's"),
        ({"prefix": "b-"}, "expected prefix '' as the policy knows this dataset, found 'b-'; another name in data"),
    ],
)
def test_a_dataset_is_what_the_policy_knows_by_its_name(
    opposites: Path, millimetres: Path, dataset: dict[str, Any], message: str
) -> None:
    spec = mixture(opposites, millimetres).store.spec
    keys = {"proprio": "my_proprio", "goal": "my_goal"}
    other = {"path": millimetres, "name": "other", "prefix": "c-", "keys": keys}
    with pytest.raises(DatasetError, match=f"dataset '{opposites.name}': {message}"):
        module(mixture=[{"path": opposites, **dataset}, other], vocabulary=spec)


def test_a_known_task_goes_on_in_its_own_dataset(opposites: Path, millimetres: Path) -> None:
    several, single = mixture(opposites, millimetres).store.spec, module(path=opposites).store.spec
    for spec, name in ((several, opposites.name), (single, r"\(earlier\)")):
        message = (
            f"dataset 'more': task 'left': expected it in '{name}', of which the policy knows it; name: '{name}' in"
        )
        with pytest.raises(DatasetError, match=message):
            module(mixture=[{"path": opposites, "name": "more"}], vocabulary=spec)
    kept = module(mixture=[{"path": opposites, "name": "(earlier)"}], vocabulary=single)
    assert [each.tasks for each in kept.store.spec.embodiments] == [("left", "right")]
    apart = module(mixture=[{"path": opposites, "name": "more", "prefix": "b-"}], vocabulary=single)
    assert apart.store.spec.task_names == ["left", "right", "b-left", "b-right"]
