"""Laws of the policy: a density in raw units, untouched by padding, whole in its state."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
import torch

from mtil.data.batch import Batch
from mtil.data.datamodule import DemoDataModule
from mtil.data.statistics import FeatureStatistics
from mtil.encoders.config import NormalizationMode
from mtil.errors import CheckpointError, EncoderError
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy

MakePolicy = Callable[..., Policy]
LANGUAGE = {"kind": "language", "model": "/nowhere", "width": 8, "hidden": 8}
HEADS: list[dict[str, Any]] = [
    {"kind": "gaussian", "min_std": 0.2},
    {"kind": "mixture", "min_std": 0.2},
    {"kind": "discretised", "bins": 8},
]
every_head = pytest.mark.parametrize("head", HEADS, ids=[head["kind"] for head in HEADS])


def conditions(policy: Policy, batch: Batch) -> torch.Tensor:
    return policy.embed("one_hot", [policy.spec.task_names[task] for task in batch.task])


def nll(policy: Policy, batch: Batch) -> torch.Tensor:
    with torch.no_grad():
        return policy.nll(batch, conditions(policy, batch))


def every_row(batch: Batch, row: int, count: int) -> Batch:
    """One example, many times."""
    return batch._map(lambda tensor: tensor[row : row + 1].repeat(count, *[1] * (tensor.ndim - 1)))


def with_garbage(batch: Batch, garbage: float) -> Batch:
    """Something else in every entry that is padding."""
    observations = {
        key: value.masked_fill(~batch.observation_mask[key].unsqueeze(1), garbage)
        for key, value in batch.observations.items()
    }
    return replace(batch, observations=observations, actions=batch.actions.masked_fill(~batch.action_mask, garbage))


@every_head
@pytest.mark.parametrize("mode", get_args(NormalizationMode))
def test_density_over_raw_actions_integrates_to_one(
    make_policy: MakePolicy, batch: Batch, head: dict[str, Any], mode: NormalizationMode
) -> None:
    """However actions are normalised: over the one valid dimension of a last step, where the rest is padding."""
    policy = make_policy(head=head, normalization={"actions": mode})
    last = int((batch.action_mask.sum((1, 2)) == 1).nonzero()[0])
    spacing = 1 / 400
    grid = torch.arange(-12, 12, spacing) + spacing / 2
    many = every_row(batch, last, len(grid))
    actions = torch.full_like(many.actions, 1e6).masked_scatter(many.action_mask, grid)
    density = nll(policy, replace(many, actions=actions)).neg().double().exp()
    assert density.sum().item() * spacing == pytest.approx(1, abs=5e-3)


@every_head
def test_units_of_the_action_count(
    make_policy: MakePolicy, data: DemoDataModule, batch: Batch, head: dict[str, Any]
) -> None:
    """In units ten times as small, every entry is ten times less dense, and nothing else changes."""
    policy = make_policy(head=head)
    expected = nll(policy, batch) + math.log(10) * batch.action_mask.sum((1, 2))
    scaled = FeatureStatistics(**{name: 10 * value for name, value in vars(data.statistics["actions"]).items()})
    policy.fit(data.statistics | {"actions": scaled})
    torch.testing.assert_close(nll(policy, replace(batch, actions=10 * batch.actions)), expected)


@every_head
@pytest.mark.parametrize("garbage", [1e30, math.nan, -math.inf])
def test_padding_changes_nothing(make_policy: MakePolicy, batch: Batch, head: dict[str, Any], garbage: float) -> None:
    policy, padded = make_policy(head=head), with_garbage(batch, garbage)
    assert not torch.equal(padded.actions, batch.actions)
    assert torch.equal(nll(policy, padded), nll(policy, batch))
    z = conditions(policy, batch)
    for found, expected in zip(policy.evaluate(padded, z), policy.evaluate(batch, z), strict=True):
        assert torch.equal(found, expected)
    found, expected = (policy.act(b.observations, b.observation_mask, z) for b in (padded, batch))
    assert torch.equal(found, expected)


@every_head
def test_examples_do_not_see_each_other(make_policy: MakePolicy, batch: Batch, head: dict[str, Any]) -> None:
    policy, order = make_policy(head=head), torch.randperm(len(batch))
    torch.testing.assert_close(nll(policy, batch._map(lambda t: t[order])), nll(policy, batch)[order])


@every_head
def test_every_parameter_learns(make_policy: MakePolicy, batch: Batch, head: dict[str, Any]) -> None:
    policy = make_policy(head=head)
    policy.nll(batch, conditions(policy, batch)).sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


@every_head
def test_evaluation_uses_the_trained_scale(make_policy: MakePolicy, batch: Batch, head: dict[str, Any]) -> None:
    """That of robomimic shrinks the deviations, so that its NLL explodes."""
    policy = make_policy(head=head).train()
    trained = nll(policy, batch)
    found, _ = policy.eval().evaluate(batch, conditions(policy, batch))
    assert torch.equal(found, trained)


def test_error_is_that_of_the_executed_actions(make_policy: MakePolicy, batch: Batch) -> None:
    policy = make_policy()
    z = conditions(policy, batch)
    _, error = policy.evaluate(batch, z)
    actions = policy.act(batch.observations, batch.observation_mask, z)
    for row in (0, len(batch) - 1):
        valid = batch.action_mask[row]
        expected = (actions[row] - batch.actions[row])[valid].abs().mean()
        torch.testing.assert_close(error[row], expected)


def test_actions_are_raw(make_policy: MakePolicy, data: DemoDataModule, batch: Batch) -> None:
    """The bins cover what the expert did, in whatever units."""
    policy = make_policy(head={"kind": "discretised"})
    policy.fit(data.statistics | {"actions": shifted(data.statistics["actions"], 100.0)})
    actions = policy.act(batch.observations, batch.observation_mask, conditions(policy, batch))
    assert ((actions > 98) & (actions < 102)).all()


def shifted(statistics: FeatureStatistics, offset: float) -> FeatureStatistics:
    moved = {name: value + offset for name, value in vars(statistics).items() if name != "std"}
    return replace(statistics, **moved)


@pytest.mark.parametrize("conditioning", ["film", "concat"])
def test_the_task_matters(make_policy: MakePolicy, batch: Batch, conditioning: str) -> None:
    policy = make_policy(trunk={"width": 16, "depth": 1, "conditioning": conditioning})
    z = conditions(policy, batch)
    assert (policy.nll(batch, z) - policy.nll(batch, z.flip(0))).abs().max() > 0.01


@every_head
def test_state_is_complete(make_policy: MakePolicy, batch: Batch, head: dict[str, Any]) -> None:
    policy = make_policy(head=head)
    loaded = Policy.from_state(policy.config, policy.spec, policy.state_dict())
    assert torch.equal(nll(loaded, batch), nll(policy, batch))


def test_language_is_loaded_without_its_model(data: DemoDataModule, batch: Batch) -> None:
    spec = data.store.spec
    config = PolicyConfig.model_validate({"history": 3, "chunk": 2, "task_encoder": LANGUAGE})
    policy = Policy(config, spec, state={"task_encoders._encoders.language.embeddings": torch.randn(3, 12)})
    loaded = Policy.from_state(config, spec, policy.state_dict())
    assert loaded.kinds == ("language",)
    told = ["stir it", "turn the knob"]
    assert torch.equal(loaded.embed("language", told), policy.embed("language", told))
    alone = policy.embed("language", told[:1])
    assert torch.equal(policy.embed("language", told)[:1], alone)
    with pytest.raises(EncoderError, match="/nowhere"):
        loaded.embed("language", ["a sentence never seen"])


def test_weights_from_before_policies_could_see(data: DemoDataModule) -> None:
    """Of one observation they mean the same; of several, their order among the features was another."""
    one, several = (PolicyConfig.model_validate({"history": n, "task_encoder": {"kind": "one_hot"}}) for n in (1, 3))
    policy = Policy(one, data.store.spec)
    policy.fit(data.statistics)
    old = {name.replace("encoder.state.", "encoder."): value for name, value in policy.state_dict().items()}
    assert "observation_encoder.normalizers.0.shift" in old
    old = {name.replace("task_encoders._encoders.one_hot.", "task_encoder."): value for name, value in old.items()}
    assert "task_encoder.embedding.weight" in old
    loaded = Policy.from_state(one, data.store.spec, old).state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in policy.state_dict().items())
    with pytest.raises(CheckpointError, match=r"weights do not fit the policy: .*state\.normalizers"):
        Policy.from_state(several, data.store.spec, old)


def test_weights_of_another_architecture(make_policy: MakePolicy) -> None:
    policy = make_policy()
    other = make_policy(trunk={"width": 8, "depth": 1})
    with pytest.raises(CheckpointError, match=r"weights do not fit the policy: .*trunk\.input\.weight") as caught:
        Policy.from_state(policy.config, policy.spec, other.state_dict())
    assert "\n" not in str(caught.value)


def test_condition_that_it_does_not_take(make_policy: MakePolicy) -> None:
    policy = make_policy()
    assert policy.kinds == ("one_hot",)
    with pytest.raises(CheckpointError, match="unknown condition for this policy 'language'; valid: one_hot"):
        policy.embed("language", ["go"])
