"""A policy of several datasets: the numbers of each are normalised by its own statistics, wherever they come from."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from mtil.data.batch import Batch
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.sampling import Draw
from mtil.errors import DatasetError, SimulatorError
from mtil.policies.actor import Actor
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.policies.renormalization import Normalization
from mtil.policies.transfer import Transfer, transfer
from mtil.types import DatasetSpec, Episode, Task

HEADS = [{"kind": "gaussian"}, {"kind": "mixture"}, {"kind": "discretised", "bins": 16}]
UNITS = 1000.0
SMALL: dict[str, Any] = {
    "history": 2,
    "chunk": 2,
    "task_encoder": {"kind": "one_hot", "width": 8},
    "trunk": {"width": 16, "depth": 1},
}


@pytest.fixture(scope="module")
def millimetres(opposites: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstrations of `opposites` under other names, where metres are millimetres, and zero lies elsewhere."""
    folder = tmp_path_factory.mktemp("millimetres")
    for task in open_tasks(opposites):
        episodes = [
            replace(
                episode,
                observations={f"my_{key}": UNITS * array + 7 for key, array in episode.observations.items()},
                actions=UNITS * episode.actions - 3,
            )
            for episode in task.episodes()
        ]
        name = f"{task.task.name}-too"
        write_task(folder / f"{name}.hdf5", Task(name, ("again",)), episodes, env_args=task.env_args)
    return folder


def module(*, vocabulary: DatasetSpec | None = None, **config: Any) -> DemoDataModule:
    parts: dict[str, Any] = {"history": 2, "chunk": 2, "kinds": {"one_hot": 1.0}}
    data = DataConfig.model_validate({"validation_fraction": 0} | config)
    return DemoDataModule(data, vocabulary=vocabulary, seed=0, **parts)


def mixture(opposites: Path, millimetres: Path, **config: Any) -> DemoDataModule:
    keys = {"proprio": "my_proprio", "goal": "my_goal"}
    return module(mixture=[{"path": opposites}, {"path": millimetres, "keys": keys}], **config)


def policy_of(data: DemoDataModule, **parts: Any) -> Policy:
    torch.manual_seed(0)
    policy = Policy(PolicyConfig.model_validate(SMALL | parts), data.store.spec)
    policy.fit(data.statistics, data.own_statistics)
    return policy.eval()


def every(data: DemoDataModule) -> Batch:
    return data.train.__getitems__(Draw.part(0, torch.arange(len(data.train))))


@torch.no_grad()
def nll(policy: Policy, batch: Batch) -> Float[Tensor, " B"]:
    return policy.nll(batch, torch.zeros(len(batch), policy.task_encoders.width))


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


def moved(source: Policy, data: DemoDataModule, normalization: Normalization = "keep") -> Transfer:
    torch.manual_seed(1)
    store = data.store
    result = transfer(
        source,
        source.config,
        store.spec,
        data.statistics,
        own=data.own_statistics,
        shown=[store.spec.task_names[task] for task in store.task.unique().tolist()],
        normalization=normalization,
    )
    result.policy.eval()
    return result


def rows(policy: Policy) -> dict[str, Tensor]:
    """The scale of actions, by dataset."""
    scale = policy.action_normalizer.scale
    return {each.name: scale[row] for row, each in enumerate(policy.spec.embodiments)}


@pytest.mark.parametrize("how", ["keep", "extend", "recompute"])
def test_a_new_dataset_gets_a_normalisation_of_its_own(
    opposites: Path, millimetres: Path, mixed: Path, how: Normalization
) -> None:
    """And the earlier datasets keep theirs, whether they are one or several; what they know, they still do."""
    source = policy_of(mixture(opposites, millimetres))
    data = module(path=mixed, tasks=["wide"], vocabulary=source.spec)
    assert [each.name for each in data.store.spec.embodiments] == [opposites.name, millimetres.name, mixed.name]
    found = moved(source, data, how).policy
    before, after = rows(source), rows(found)
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert torch.equal(after[mixed.name], policy_of(module(path=mixed, tasks=["wide"])).action_normalizer.scale)
    batch = every(mixture(opposites, millimetres))
    assert torch.equal(nll(found, batch), nll(source, batch))


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


def test_a_policy_of_one_dataset_may_go_on_with_several(opposites: Path, millimetres: Path) -> None:
    source = policy_of(module(path=opposites))
    keys = {"proprio": "my_proprio", "goal": "my_goal"}
    seen = [feature.key for feature in source.spec.observations]
    mixture = [{"path": millimetres, "name": "new", "keys": keys}]
    data = module(mixture=mixture, observations=seen, vocabulary=source.spec)
    found = moved(source, data)
    assert {each.name: each.tasks for each in found.policy.spec.embodiments} == {
        "(earlier)": ("left", "right"),
        "new": ("left-too", "right-too"),
    }
    assert (dict(found.new), found.unused) == ({}, ())
    own = every(module(path=opposites))
    assert torch.equal(nll(found.policy, own), nll(source, own))
    torch.testing.assert_close(rows(found.policy)["new"], UNITS * rows(found.policy)["(earlier)"])


@pytest.mark.parametrize("how", ["keep", "extend", "recompute"])
def test_of_a_dataset_in_both_the_normalisation_is_kept_or_not(
    opposites: Path, millimetres: Path, newcomers: Path, how: Normalization
) -> None:
    """`newcomers` are more demonstrations, some of a new task, of what `opposites` are of."""
    source = policy_of(mixture(opposites, millimetres), normalization={"observations": "min_max", "actions": "min_max"})
    data = module(mixture=[{"path": newcomers, "name": opposites.name}], vocabulary=source.spec)
    assert data.store.spec.embodiments[0].tasks == ("left", "around", "right")
    before, after = rows(source), rows(moved(source, data, how).policy)
    own = (data.own_statistics or {})["actions"]
    fresh = ((own.high - own.low) / 2)[0]
    expected = {
        "keep": before[opposites.name],
        "recompute": fresh,
        "extend": torch.maximum(before[opposites.name], fresh),
    }
    torch.testing.assert_close(after[opposites.name], expected[how], atol=0.2, rtol=0)
    if how != "extend":
        assert torch.equal(after[opposites.name], expected[how])
    assert torch.equal(after[millimetres.name], before[millimetres.name])


def test_an_earlier_task_is_rehearsed_as_its_dataset_was(opposites: Path, millimetres: Path, mixed: Path) -> None:
    """Under the policy's keys, and in the units of its own dataset."""
    source = policy_of(mixture(opposites, millimetres))
    data = module(path=mixed, tasks=["wide"], rehearsal={"path": millimetres, "share": 0.5}, vocabulary=source.spec)
    assert data.store.spec.keys("left-too") == {"goal": "my_goal", "proprio": "my_proprio"}
    found, batch = moved(source, data, "recompute").policy, every(data)
    assert found.spec.embodiments[1].tasks == ("left-too", "right-too")
    rehearsed = batch.observations["proprio"][batch.task == found.spec.position("left-too")]
    assert rehearsed.abs().max() > UNITS
    assert data.task_weights == [0, 0, 0.25, 0.25, 0.5]


def test_what_a_new_dataset_lacks_is_told(opposites: Path, millimetres: Path) -> None:
    source = policy_of(mixture(opposites, millimetres))
    (task, _) = open_tasks(millimetres)
    assert task.task.name == "left-too"
    with pytest.raises(DatasetError, match=r"unknown observation 'proprio'.*data\.mixture\.0\.keys in place of data"):
        module(
            path=millimetres,
            observations=["proprio"],
            vocabulary=replace(source.spec, tasks=source.spec.tasks[:2], embodiments=source.spec.embodiments[:1]),
        )
