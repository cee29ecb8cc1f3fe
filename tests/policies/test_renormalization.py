"""What becomes of normalisation when other data join those of a policy of several datasets, or make several of one."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from robots import HEADS, UNITS, every, mixture, module, nll, policy_of
from torch import Tensor

from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.errors import DatasetError
from mtil.policies.policy import Policy
from mtil.policies.renormalization import Normalization
from mtil.policies.transfer import Transfer, transfer
from mtil.types import DatasetSpec

HOW: tuple[Normalization, ...] = ("keep", "extend", "recompute")


def moved(
    source: Policy,
    data: DemoDataModule,
    normalization: Normalization = "keep",
    *,
    parts: Sequence[str] | None = None,
    **config: Any,
) -> Transfer:
    torch.manual_seed(1)
    store = data.store
    result = transfer(
        source,
        source.config.model_copy(update=config),
        store.spec,
        data.statistics,
        own=data.own_statistics,
        shown=[store.spec.task_names[task] for task in store.task.unique().tolist()],
        normalization=normalization,
        parts=parts,
    )
    result.policy.eval()
    return result


def rows(policy: Policy) -> dict[str, Tensor]:
    """The scale of actions, by dataset."""
    scale = policy.action_normalizer.scale
    return {each.name: scale[row] for row, each in enumerate(policy.spec.embodiments)}


@pytest.mark.parametrize("how", HOW)
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
    assert (found.new.keys(), found.unused) == (found.partly.keys(), ())
    own = every(module(path=opposites))
    assert torch.equal(nll(found.policy, own), nll(source, own))
    torch.testing.assert_close(rows(found.policy)["new"], UNITS * rows(found.policy)["(earlier)"])


@pytest.mark.parametrize("how", HOW)
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
    with pytest.raises(DatasetError, match=r"unknown observation 'proprio'.*keys in data\.mixture, in place of"):
        module(
            path=millimetres,
            observations=["proprio"],
            vocabulary=replace(source.spec, tasks=source.spec.tasks[:2], embodiments=source.spec.embodiments[:1]),
        )


def test_of_a_part_the_rows_of_datasets_are_known_by_name(opposites: Path, millimetres: Path) -> None:
    """Whatever their order; what the earlier policy does not know has those of its data."""
    source = policy_of(mixture(opposites, millimetres))
    keys = {"proprio": "my_proprio", "goal": "my_goal"}
    data = module(mixture=[{"path": millimetres, "keys": keys}, {"path": opposites, "name": "more"}])
    fresh, found = rows(policy_of(data)), moved(source, data, parts=["action_normalizer.*"])
    assert torch.equal(rows(found.policy)[millimetres.name], rows(source)[millimetres.name])
    assert torch.equal(rows(found.policy)["more"], fresh["more"])
    assert "action_normalizer.scale" in found.taken
    data = module(mixture=[{"path": opposites, "name": "more"}, {"path": opposites, "name": "again", "prefix": "b-"}])
    found = moved(source, data, parts=["action_normalizer.*"])
    assert found.new["action_normalizer.scale"] == "the policy had none"
    assert torch.equal(found.policy.action_normalizer.scale, policy_of(data).action_normalizer.scale)


def test_a_policy_of_one_dataset_rehearses_as_it_was_trained(opposites: Path, millimetres: Path) -> None:
    """Where others join it: a part of its demonstrations does not change how its numbers are normalised."""
    source = policy_of(module(path=opposites))
    new = {"path": millimetres, "name": "new", "keys": {"proprio": "my_proprio", "goal": "my_goal"}}
    data = module(mixture=[new], rehearsal={"path": opposites, "tasks": ["left"], "share": 0.5}, vocabulary=source.spec)
    found = moved(source, data).policy
    assert [(each.name, each.tasks) for each in found.spec.embodiments] == [
        ("(earlier)", ("right", "left")),
        ("new", ("left-too", "right-too")),
    ]
    assert torch.equal(rows(found)["(earlier)"], source.action_normalizer.scale)
    own = every(module(path=opposites))
    assert torch.equal(nll(found, own), nll(source, own))


def test_a_dataset_whose_tasks_have_a_prefix_is_known_again(opposites: Path, mixed: Path, tmp_path: Path) -> None:
    """By its name: in a fine-tuning, and where it is rehearsed."""
    again = shutil.copytree(opposites, tmp_path / "again")
    source = policy_of(module(mixture=[{"path": opposites}, {"path": again, "prefix": "b-"}]))
    assert [source.spec.simulated(task) for task in source.spec.task_names] == ["left", "right"] * 2
    later = module(path=again, vocabulary=source.spec)
    assert later.store.spec == source.spec
    assert {later.store.spec.task_names[task] for task in later.store.task.tolist()} == {"b-left", "b-right"}
    rehearsed = module(
        mixture=[{"path": opposites}], rehearsal={"path": again, "tasks": ["left"]}, vocabulary=source.spec
    )
    assert rehearsed.store.rehearsed == ("b-left",)
    assert rehearsed.task_weights == [0.25, 0.25, 0.5, 0]


@pytest.mark.parametrize("units", ["mean_std", "min_max"])
@pytest.mark.parametrize("how", HOW)
def test_the_bins_of_actions_reach_as_far_as_the_actions(
    opposites: Path, millimetres: Path, newcomers: Path, how: Normalization, units: str
) -> None:
    """Each dataset's, in its own units as they are now."""
    normalization = {"observations": units, "actions": units}
    source = policy_of(mixture(opposites, millimetres), head=HEADS[-1], normalization=normalization)
    data = module(mixture=[{"path": newcomers, "name": opposites.name}], vocabulary=source.spec)
    found = moved(source, data, how).policy
    ranges = dict(found.head.named_buffers())
    if how == "keep":
        assert torch.equal(ranges["low"], source.head.get_buffer("low"))
        assert torch.equal(ranges["high"], source.head.get_buffer("high"))
    reach = [own_reach(mixture(opposites, millimetres), millimetres.name)]
    if how != "recompute":
        reach += [own_reach(mixture(opposites, millimetres), opposites.name)]
    if how != "keep":
        reach += [own_reach(data, opposites.name)]
    names = [each.name for each in found.spec.embodiments]
    for name, low, high in reach:
        shift, scale = (getattr(found.action_normalizer, part)[names.index(name)] for part in ("shift", "scale"))
        assert (ranges["low"] * scale + shift <= low + 1e-4 * scale).all()
        assert (ranges["high"] * scale + shift >= high - 1e-4 * scale).all()


def own_reach(data: DemoDataModule, name: str) -> tuple[str, Tensor, Tensor]:
    """Least and greatest actions of a dataset."""
    actions = (data.own_statistics or {})["actions"]
    row = [each.name for each in data.store.spec.embodiments].index(name)
    return name, actions.low[row], actions.high[row]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("units", ["mean_std", "min_max"])
@pytest.mark.parametrize("how", HOW)
def test_what_only_one_side_has_data_of_is_normalised_by_that(
    mixed: Path, how: Normalization, units: str, several: bool
) -> None:
    """A dimension of one dataset's that only tasks without demonstrations have, or only new tasks."""

    def of(*tasks: str, vocabulary: DatasetSpec | None = None) -> DemoDataModule:
        data: dict[str, Any] = {"path": mixed, "tasks": tasks}
        return module(**({"mixture": [data]} if several else data), vocabulary=vocabulary)

    normalization = {"observations": units, "actions": units}
    source = policy_of(of("narrow", "wide"), normalization=normalization)
    found = moved(source, of("narrow", vocabulary=source.spec), how)
    assert torch.equal(second(found.policy), second(source))
    source = policy_of(of("narrow"), normalization=normalization)
    data = of("wide", vocabulary=source.spec)
    found, fresh = moved(source, data, how), policy_of(data, normalization=normalization)
    assert torch.equal(second(found.policy), second(fresh))
    if how == "keep":
        first = [policy.action_normalizer.scale[..., 0] for policy in (source, found.policy)]
        assert torch.equal(*first)
        assert found.partly["action_normalizer.scale"] == 1
        assert found.new["action_normalizer.scale"] == "fitted to these data"


def second(policy: Policy) -> Tensor:
    """Shift and scale of the second action."""
    return torch.stack([policy.action_normalizer.shift[..., 1], policy.action_normalizer.scale[..., 1]])


def test_how_much_is_taken_over_is_told_in_numbers(opposites: Path, millimetres: Path, mixed: Path) -> None:
    """Of three datasets' scales of two actions."""
    source = policy_of(mixture(opposites, millimetres))
    data = module(path=mixed, tasks=["wide"], vocabulary=source.spec)
    for how in HOW:
        found = moved(source, data, how)
        assert found.partly["action_normalizer.scale"] == 4
    data = module(path=opposites, vocabulary=source.spec)
    for how, why in zip(HOW[1:], ("fitted to both data", "fitted to these data"), strict=True):
        found = moved(source, data, how)
        assert (found.partly["action_normalizer.scale"], found.new["action_normalizer.scale"]) == (2, why)
    assert "action_normalizer.scale" not in moved(source, data, "keep").new


def test_what_nobody_has_is_not_new(opposites: Path, millimetres: Path) -> None:
    """Such as a state that a dataset lacks, whose place in its row is empty."""
    keys = {"proprio": "my_proprio", "goal": None}
    source = policy_of(module(mixture=[{"path": opposites}, {"path": millimetres, "keys": keys}]))
    found = moved(source, module(path=millimetres, vocabulary=source.spec))
    assert (dict(found.new), dict(found.partly)) == ({}, {})


def test_of_a_part_features_of_another_size_are_others(mixed: Path) -> None:
    """Where the vocabularies are not joined, nobody knows which of its dimensions would be which."""
    source = policy_of(module(path=mixed, tasks=["wide"]))
    data = module(path=mixed, tasks=["narrow"])
    fresh, found = policy_of(data), moved(source, data, parts=["action_normalizer.*"])
    assert torch.equal(found.policy.action_normalizer.shift, fresh.action_normalizer.shift)
    assert found.new.keys() >= {"action_normalizer.shift", "action_normalizer.scale"}
    assert found.taken == ()


@pytest.mark.parametrize("seed", range(8))
def test_a_range_that_is_kept_is_kept_to_the_bit(opposites: Path, newcomers: Path, seed: int) -> None:
    source = policy_of(module(path=opposites), head=HEADS[-1], normalization={"actions": "mean_std"})
    torch.manual_seed(seed)
    low = -2 - torch.rand(2)
    source.head.fit(low, low + 5 * torch.rand(2))  # pyright: ignore[reportAttributeAccessIssue]
    found = moved(source, module(path=newcomers, vocabulary=source.spec))
    assert all(torch.equal(source.head.get_buffer(end), found.policy.head.get_buffer(end)) for end in ("low", "high"))
    assert found.new.keys().isdisjoint(("head.low", "head.high"))


def test_the_range_of_a_head_alone_follows_the_normalisation_asked_for(opposites: Path, millimetres: Path) -> None:
    """Of which the bins are taken over, into new units."""
    source = policy_of(module(path=opposites), head=HEADS[-1])
    data = module(path=millimetres)
    fresh = policy_of(data, head=HEADS[-1])
    cases: list[tuple[Normalization, Policy]] = [("keep", source), ("recompute", fresh)]
    for how, expected in cases:
        found = moved(source, data, how, parts=["head.*"]).policy
        assert torch.equal(found.head.get_buffer("low"), expected.head.get_buffer("low"))
    found = moved(source, data, "extend", parts=["head.*"]).policy
    reach = found.action_normalizer.inverse(torch.stack([found.head.get_buffer("low"), found.head.get_buffer("high")]))
    actions = [each.statistics["actions"] for each in (module(path=opposites), data)]
    torch.testing.assert_close(reach[0], torch.stack([each.low for each in actions]).amin(0), atol=1, rtol=1e-3)
    torch.testing.assert_close(reach[1], torch.stack([each.high for each in actions]).amax(0), atol=1, rtol=1e-3)
