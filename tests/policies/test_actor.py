"""The actor in its slots: what the policy would do on the dataset's own windows, and no slot knows of another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mtil.data.batch import Batch
from mtil.data.datamodule import DemoDataModule
from mtil.errors import DatasetError, SimulatorError
from mtil.policies.actor import Actor
from mtil.policies.execution import build_execution
from mtil.policies.policy import Policy
from mtil.types import FeatureSpec

Observation = Mapping[str, np.ndarray]
MakePolicy = Callable[..., Policy]
TASKS = ("narrow", "wide")
EXECUTIONS = [{"kind": "first", "steps": 1}, {"kind": "first", "steps": 2}, {"kind": "ensemble", "decay": 0.3}]


def episode(data: DemoDataModule, number: int) -> tuple[str, list[Observation]]:
    """The task of an episode, and its observations as the simulator would give them: without padding."""
    store = data.store
    task, start, length = (int(x[number]) for x in (store.task, store.start, store.length))
    widths = {f.key: store.spec.widths[f.key][task] for f in store.spec.observations}
    return store.spec.task_names[task], [
        {key: store.features[key][row, :width].double().numpy() for key, width in widths.items()}
        for row in range(start, start + length)
    ]


def begin(actor: Actor, policy: Policy, row: int, task: str) -> None:
    actor.reset(row, policy.embed("one_hot", [task])[0].detach(), task)


def play(actor: Actor, policy: Policy, row: int, task: str, observations: Sequence[Observation]) -> list[np.ndarray]:
    """An episode in one slot, the others idle."""
    begin(actor, policy, row, task)
    actions = [actor.act([o if i == row else None for i in range(actor.slots)])[row] for o in observations]
    return [action for action in actions if action is not None]


@pytest.mark.parametrize("number", [0, 7], ids=["narrow", "wide"])
def test_acts_as_the_policy_on_the_windows_of_the_dataset(
    make_policy: MakePolicy, data: DemoDataModule, batch: Batch, number: int
) -> None:
    policy = make_policy().eval()
    task, observations = episode(data, number)
    found = np.stack(play(Actor(policy, slots=2), policy, 1, task, observations))
    start, end = int(data.store.start[number]), int(data.store.start[number] + data.store.length[number])
    z = policy.embed("one_hot", [task]).expand(len(batch), -1)
    expected = policy.act(batch.observations, batch.observation_mask, z)[start:end, 0, : found.shape[1]]
    assert not batch.history_mask[start].all()  # the episode's first windows repeat its first observation
    np.testing.assert_allclose(found, expected.detach(), atol=1e-5)


@pytest.mark.parametrize("execution", EXECUTIONS[1:], ids=["first", "ensemble"])
def test_carries_its_chunks_out(
    make_policy: MakePolicy, data: DemoDataModule, batch: Batch, execution: dict[str, Any]
) -> None:
    """Each action is what the execution makes of the chunks that the policy gives on the dataset's windows."""
    policy = make_policy(execution=execution).eval()
    task, observations = episode(data, 7)
    start, end = int(data.store.start[7]), int(data.store.start[7] + data.store.length[7])
    z = policy.embed("one_hot", [task]).expand(len(batch), -1)
    chunks = policy.act(batch.observations, batch.observation_mask, z)[start:end].detach().numpy()
    plan, expected = build_execution(policy.config.execution), []
    for chunk in chunks:
        if plan.wants_chunk:
            plan.add(chunk)
        expected.append(plan.next())
    found = play(Actor(policy, slots=2), policy, 1, task, observations)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("execution", EXECUTIONS, ids=["one", "first", "ensemble"])
def test_slots_do_not_depend_on_each_other(
    make_policy: MakePolicy, data: DemoDataModule, execution: dict[str, Any]
) -> None:
    """To the last bit, whichever other slots are busy, idle, or begin anew."""
    policy = make_policy(execution=execution)
    task, observations = episode(data, 7)
    alone = play(Actor(policy, slots=5), policy, 2, task, observations)
    actor, random = Actor(policy, slots=5), np.random.default_rng(0)
    for row in range(5):
        begin(actor, policy, row, task if row == 2 else "wide")
    for observation, expected in zip(observations, alone, strict=True):
        rest = {row: observations[random.integers(len(observations))] for row in (0, 1, 3, 4) if random.random() < 0.6}
        for row in rest:
            if random.random() < 0.3:
                begin(actor, policy, row, "wide")
        acted = actor.act([observation if row == 2 else rest.get(row) for row in range(5)])
        np.testing.assert_array_equal(acted[2] if acted[2] is not None else np.nan, expected, strict=True)
        assert [row for row, action in enumerate(acted) if action is not None] == sorted([2, *rest])


def test_neither_the_slot_nor_their_number_matters(make_policy: MakePolicy, data: DemoDataModule) -> None:
    """To the last bit: which trial runs where is a matter of time, and of how many ranks there are."""
    policy = make_policy()
    task, observations = episode(data, 7)
    alone = play(Actor(policy, slots=1), policy, 0, task, observations)
    actor = Actor(policy, slots=45)
    for row in range(45):
        begin(actor, policy, row, task)
    for observation, expected in zip(observations, alone, strict=True):
        for action in actor.act([observation] * 45):
            assert action is not None
            np.testing.assert_array_equal(action, expected, strict=True)


@pytest.mark.parametrize("execution", EXECUTIONS, ids=["one", "first", "ensemble"])
def test_reset_forgets(make_policy: MakePolicy, data: DemoDataModule, execution: dict[str, Any]) -> None:
    """A slot that has served a wider task serves a narrower one as a new slot does."""
    policy = make_policy(execution=execution)
    (narrow, few), (wide, many) = episode(data, 0), episode(data, 7)
    fresh = play(Actor(policy, slots=1), policy, 0, narrow, few)
    used = Actor(policy, slots=1)
    play(used, policy, 0, wide, many)
    assert np.array_equal(play(used, policy, 0, narrow, few), fresh)


@pytest.mark.parametrize("execution", EXECUTIONS, ids=["one", "first", "ensemble"])
def test_whole_chunks_are_what_actions_are_taken_from(
    make_policy: MakePolicy, data: DemoDataModule, execution: dict[str, Any]
) -> None:
    """However they are executed; observations that nothing was asked for are remembered, too."""
    policy = make_policy(execution=execution)
    task, observations = episode(data, 7)
    actor, plain = Actor(policy, slots=2), make_policy()
    firsts = play(Actor(plain, slots=2), plain, 1, task, observations)
    begin(actor, policy, 1, task)
    for step, (observation, expected) in enumerate(zip(observations, firsts, strict=True)):
        if step % 3 == 1:
            assert actor.observe([None, observation]) == [1]
            continue
        idle, chunk = actor.chunks([None, observation])
        assert idle is None
        assert chunk is not None
        assert chunk.shape == (policy.config.chunk, 2)
        np.testing.assert_array_equal(chunk[0], expected, strict=True)


@pytest.mark.parametrize("how", ["chunks", "observe"])
def test_what_is_left_of_a_chunk_is_not_taken_later(make_policy: MakePolicy, data: DemoDataModule, how: str) -> None:
    policy = make_policy(execution={"kind": "first", "steps": 2})
    task, observations = episode(data, 7)
    actor, fresh = Actor(policy, slots=1), Actor(policy, slots=1)
    for each in (actor, fresh):
        begin(each, policy, 0, task)
    actor.act([observations[0]])
    getattr(actor, how)([observations[1]])
    for observation in observations[:2]:
        fresh.observe([observation])
    np.testing.assert_array_equal(actor.act([observations[2]]), fresh.act([observations[2]]), strict=True)


def test_a_smaller_batch_acts_alike(make_policy: MakePolicy, data: DemoDataModule) -> None:
    """But for rounding; more slots than it holds are decided for in several."""
    policy = make_policy()
    task, observations = episode(data, 7)
    whole, small = Actor(policy, slots=5), Actor(policy, slots=5, batch=2)
    for actor in (whole, small):
        for row in range(5):
            begin(actor, policy, row, task)
    for found, expected in zip(small.act(observations[:5]), whole.act(observations[:5]), strict=True):
        assert found is not None
        assert expected is not None
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_history_matters(make_policy: MakePolicy, data: DemoDataModule) -> None:
    policy = make_policy()
    task, observations = episode(data, 7)
    forth, back = (
        play(Actor(policy, slots=1), policy, 0, task, [*o, observations[2]])
        for o in (observations[:2], observations[1::-1])
    )
    assert not np.allclose(forth[-1], back[-1])


def test_actions_have_the_width_of_the_task(make_policy: MakePolicy, data: DemoDataModule) -> None:
    policy = make_policy()
    actor = Actor(policy, slots=3)
    for row, task in enumerate(TASKS):
        begin(actor, policy, row, task)
    narrow, wide, idle = actor.act([episode(data, 0)[1][0], episode(data, 7)[1][0], None])
    assert narrow is not None
    assert wide is not None
    assert (narrow.shape, wide.shape, idle) == ((1,), (2,), None)
    assert narrow.dtype == np.float32


def test_actions_are_the_callers(make_policy: MakePolicy, data: DemoDataModule) -> None:
    """What a caller does to an action or an observation changes no later one."""
    policy = make_policy()
    task, observations = episode(data, 7)
    expected = play(Actor(policy, slots=1), policy, 0, task, observations)
    actor = Actor(policy, slots=1)
    begin(actor, policy, 0, task)
    for observation, wanted in zip(observations, expected, strict=True):
        copy = {key: value.copy() for key, value in observation.items()}
        (action,) = actor.act([copy])
        assert action is not None
        assert np.array_equal(action, wanted)
        action[:] = np.nan
        for value in copy.values():
            value[:] = np.nan


def test_leaves_training_mode(make_policy: MakePolicy, data: DemoDataModule) -> None:
    policy = make_policy(trunk={"width": 16, "depth": 1, "dropout": 0.5}).train()
    task, observations = episode(data, 0)
    actor = Actor(policy, slots=1)
    first, second = (play(actor, policy, 0, task, observations) for _ in range(2))
    assert np.array_equal(first, second)
    assert all(not torch.from_numpy(action).requires_grad for action in first)


def test_observations_that_do_not_fit(make_policy: MakePolicy, data: DemoDataModule) -> None:
    policy = make_policy()
    actor, observation = Actor(policy, slots=1), dict(episode(data, 0)[1][0])
    begin(actor, policy, 0, "narrow")
    with pytest.raises(SimulatorError, match=r"'proprio': the policy expects shape \(2,\), found \(3,\)"):
        actor.act([observation | {"proprio": np.zeros(3)}])
    del observation["goal"]
    with pytest.raises(SimulatorError, match=r"'goal': the policy needs it; the simulator gives \['proprio'\]"):
        actor.act([observation])


def test_a_task_that_it_does_not_know(make_policy: MakePolicy) -> None:
    with pytest.raises(DatasetError, match="unknown task 'wied'; did you mean 'wide'"):
        Actor(make_policy(), slots=1).reset(0, torch.zeros(8), "wied")


@pytest.mark.parametrize("execution", EXECUTIONS, ids=["one", "first", "ensemble"])
def test_images_are_remembered_as_they_are(make_policy: MakePolicy, execution: dict[str, Any]) -> None:
    """It acts in each slot as the policy does on that slot's windows, whose first image is repeated before it."""
    blind = make_policy(execution=execution)
    camera = FeatureSpec("front_image", (16, 16, 3), "uint8", "image")
    proprio = next(feature for feature in blind.spec.observations if feature.key == "proprio")
    policy = Policy(blind.config, replace(blind.spec, observations=(camera, proprio))).eval()
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (6, 16, 16, 3), np.uint8)
    states = random.normal(size=(6, 3)).astype(np.float32)
    observations = [{"front_image": image, "proprio": state} for image, state in zip(images, states, strict=True)]
    found = np.stack(play(Actor(policy, slots=3), policy, 1, "wide", observations))
    history = policy.config.history
    rows = np.maximum(np.arange(6)[:, None] + np.arange(1 - history, 1), 0)
    windows = {"front_image": torch.from_numpy(images[rows]), "proprio": torch.from_numpy(states[rows])}
    mask = {"proprio": torch.ones(6, 3, dtype=torch.bool)}
    chunks = policy.act(windows, mask, policy.embed("one_hot", ["wide"]).expand(6, -1)).detach().numpy()
    plan, expected = build_execution(policy.config.execution), []
    for chunk in chunks:
        if plan.wants_chunk:
            plan.add(chunk)
        expected.append(plan.next())
    np.testing.assert_allclose(found, expected, atol=1e-5)
    with pytest.raises(
        SimulatorError, match=r"'front_image': the policy expects shape \(16, 16, 3\), found \(8, 8, 3\)"
    ):
        Actor(policy, slots=1).act([observations[0] | {"front_image": images[0, ::2, ::2]}])
