"""What a policy has of an earlier one's weights."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.sampling import Draw
from mtil.errors import ConfigError
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.policies.transfer import Normalization, Transfer, transfer
from mtil.types import DatasetSpec, FeatureSpec

SMALL: dict[str, Any] = {
    "history": 2,
    "chunk": 2,
    "task_encoder": {"kind": "one_hot", "width": 8},
    "trunk": {"width": 16, "depth": 1},
}
HEAD = "head._projection._linear.weight"
ONE_HOT = "task_encoders._encoders.one_hot.embedding.weight"


def data_of(path: Path, *, vocabulary: DatasetSpec | None = None, **config: Any) -> DemoDataModule:
    config = {"path": path, "validation_fraction": 0} | config
    parts: dict[str, Any] = {"history": 2, "chunk": 2, "kinds": {"one_hot": 1.0}}
    return DemoDataModule(DataConfig.model_validate(config), vocabulary=vocabulary, seed=0, **parts)


@pytest.fixture
def source(opposites: Path) -> Policy:
    """A policy for `left` and `right`, its weights drawn at random, its normalisation fitted."""
    return policy_of(data_of(opposites))


def policy_of(data: DemoDataModule, **parts: Any) -> Policy:
    torch.manual_seed(0)
    policy = Policy(PolicyConfig.model_validate(SMALL | parts), data.store.spec)
    policy.fit(data.statistics)
    return policy.eval()


def moved(
    source: Policy,
    path: Path,
    *,
    normalization: Normalization = "keep",
    parts: Sequence[str] | None = None,
    config: dict[str, Any] | None = None,
    **data: Any,
) -> Transfer:
    """The earlier policy, and what is made of it for other data, and perhaps with other parts."""
    torch.manual_seed(1)
    found = data_of(path, vocabulary=source.spec if parts is None else None, **data)
    architecture = PolicyConfig.model_validate(SMALL | (config or {}))
    spec = found.store.spec
    shown = [spec.task_names[task] for task in found.store.task.unique().tolist()]
    result = transfer(
        source, architecture, spec, found.statistics, shown=shown, normalization=normalization, parts=parts
    )
    result.policy.eval()
    return result


@torch.no_grad()
def actions(policy: Policy, path: Path, task: str) -> Tensor:
    """What a policy does in the observations of a dataset."""
    data = data_of(path)
    batch = data.train.__getitems__(Draw.part(0, torch.arange(len(data.train))))
    z = policy.embed("one_hot", [task]).expand(len(batch), -1)
    return policy.act(batch.observations, batch.observation_mask, z)


@pytest.mark.parametrize("trunk", [{}, {"kind": "transformer"}], ids=["mlp", "transformer"])
def test_what_it_knew_it_still_does(opposites: Path, newcomers: Path, trunk: dict[str, Any]) -> None:
    """To the bit; and all of it was taken over but for the row of the new task."""
    parts = {"trunk": {"width": 16, "depth": 1, **trunk}}
    source = policy_of(data_of(opposites), **parts)
    found = moved(source, newcomers, config=parts)
    assert found.policy.spec.task_names == ["left", "right", "around"]
    assert (dict(found.new), found.unused) == ({ONE_HOT: "tasks that are new"}, ())
    assert found.partly == {ONE_HOT: 2 * 8}
    for task in ("left", "right"):
        assert torch.equal(actions(found.policy, newcomers, task), actions(source, newcomers, task))
    assert not torch.equal(actions(found.policy, newcomers, "around"), actions(source, newcomers, "right"))


def test_normalisation_is_kept_or_extended_or_recomputed(source: Policy, newcomers: Path) -> None:
    fresh = policy_of(data_of(newcomers))
    scales = {}
    for how in ("keep", "extend", "recompute"):
        found = moved(source, newcomers, normalization=how)
        scales[how] = found.policy.observation_encoder.state_dict()["state.normalizers.0.scale"]
        told = {why for name, why in found.new.items() if "normalizer" in name}
        assert told == {"keep": set(), "extend": {"fitted to both data"}, "recompute": {"fitted to these data"}}[how]
    earlier = source.observation_encoder.state_dict()["state.normalizers.0.scale"]
    assert torch.equal(scales["keep"], earlier)
    assert torch.equal(scales["recompute"], fresh.observation_encoder.state_dict()["state.normalizers.0.scale"])
    assert (scales["extend"] >= torch.minimum(earlier, scales["recompute"]) - 1e-6).all()


@pytest.mark.parametrize("how", ["keep", "extend", "recompute"])
def test_the_range_of_a_head_follows_the_normalisation(opposites: Path, newcomers: Path, how: Normalization) -> None:
    """In raw units: of the earlier actions, of all, or of the new."""
    parts = {"head": {"kind": "discretised"}}
    source, fresh = policy_of(data_of(opposites), **parts), policy_of(data_of(newcomers), **parts)
    found = moved(source, newcomers, normalization=how, config=parts).policy

    def ends(policy: Policy) -> list[Tensor]:
        return [policy.action_normalizer.inverse(end) for end in (policy.head.low, policy.head.high)]  # type: ignore[arg-type]

    (low, high), old, new = ends(found), ends(source), ends(fresh)
    widest = torch.minimum(old[0], new[0]), torch.maximum(old[1], new[1])
    expected = {"keep": old, "extend": widest, "recompute": new}[how]
    torch.testing.assert_close([low, high], list(expected))


@pytest.mark.parametrize("how", ["keep", "extend"])
def test_only_what_is_asked_for(source: Policy, newcomers: Path, how: Normalization) -> None:
    """The rest, the normalisation with it, is what it is without an earlier policy; nothing joins its vocabulary."""
    found = moved(source, newcomers, parts=["trunk.blocks.*"], normalization=how)
    assert all(name.startswith("trunk.blocks.") for name in found.taken)
    old, now = source.state_dict(), found.policy.state_dict()
    assert all(torch.equal(old[name], now[name]) for name in found.taken)
    assert found.new[HEAD] == "not asked for"
    assert HEAD in found.unused
    fresh = policy_of(data_of(newcomers))
    assert found.policy.spec == fresh.spec
    assert torch.equal(now["action_normalizer.scale"], fresh.action_normalizer.scale)
    with pytest.raises(ConfigError, match=r"start.parts: unknown parameters 'trunc\.\*'; did you mean 'trunk"):
        moved(source, newcomers, parts=["trunk.*", "trunc.*"])


def test_wider_actions_get_a_new_head(opposites: Path, mixed: Path) -> None:
    source = policy_of(data_of(mixed, tasks=["narrow"], observations=["goal"]))
    found = moved(source, opposites, observations=["goal"])
    assert found.new[HEAD] == "2 x 2 actions, where there were 2 x 1"
    assert (found.new["action_normalizer.scale"], found.partly["action_normalizer.scale"]) == (
        "fitted to these data",
        1,
    )
    assert "trunk.input.weight" in found.taken
    assert HEAD in found.unused
    assert found.policy.spec.widths["actions"] == (1, 2, 2)


def test_other_observations_get_new_encoders(source: Policy, newcomers: Path) -> None:
    """What stands at another place in the trunk's input means something else, even where the shape is the same."""
    found = moved(source, newcomers, observations=["proprio", "goal"])
    assert [feature.key for feature in source.spec.observations] == ["goal", "proprio"]
    assert found.new["trunk.input.weight"] == "other observations"
    assert "trunk.blocks.0.norm.weight" in found.taken
    old, now = source.observation_encoder.state_dict(), found.policy.observation_encoder.state_dict()
    assert torch.equal(now["state.normalizers.1.scale"], old["state.normalizers.0.scale"])
    fewer = moved(source, newcomers, observations=["proprio"])
    assert "observation_encoder.state.normalizers.0.scale" in fewer.unused


@pytest.mark.parametrize(
    ("config", "name", "why"),
    [
        ({"head": {"kind": "mixture"}}, HEAD, "another head"),
        ({"chunk": 1}, HEAD, "1 x 2 actions, where there were 2 x 2"),
        ({"trunk": {"kind": "transformer", "width": 16, "depth": 1}}, "trunk.norm.weight", "another trunk"),
        ({"trunk": {"width": 16, "depth": 2}}, "trunk.blocks.1.norm.weight", "the policy had none"),
        ({"trunk": {"width": 32, "depth": 1}}, "trunk.norm.weight", "32, where there were 16"),
        ({"history": 1}, "trunk.input.weight", "other observations"),
        ({"task_encoder": {"kind": "none", "width": 8}}, "task_encoders._encoders.none.embedding.weight", "had none"),
    ],
    ids=str,
)
def test_other_parts_are_new_and_it_is_said_why(
    source: Policy, newcomers: Path, config: dict[str, Any], name: str, why: str
) -> None:
    found = moved(source, newcomers, config=config)
    assert why in found.new[name]
    assert "action_normalizer.scale" in found.taken


CAMERAS = tuple(FeatureSpec(f"{name}_image", (32, 32, 3), "uint8", "image") for name in ("front", "wrist"))


def seeing(path: Path, cameras: tuple[FeatureSpec, ...]) -> DatasetSpec:
    spec = data_of(path).store.spec
    return replace(spec, observations=(*spec.observations, *cameras))


@pytest.mark.parametrize("shared", [False, True])
def test_cameras_are_known_by_name(opposites: Path, shared: bool) -> None:
    config = PolicyConfig.model_validate(
        SMALL | {"image_encoder": {"channels": [16], "keypoints": 4, "shared": shared}}
    )
    source = Policy(config, seeing(opposites, CAMERAS))
    found = transfer(source, config, seeing(opposites, CAMERAS[::-1]), data_of(opposites).statistics, shown=("left",))
    before, now = source.state_dict(), found.policy.state_dict()
    name = "observation_encoder.cameras.encoders.{}.keypoints.maps.weight"
    pairs = [(0, 0)] if shared else [(0, 1), (1, 0)]
    assert all(torch.equal(before[name.format(old)], now[name.format(new)]) for old, new in pairs)
    assert found.new["trunk.input.weight"] == "other observations"
    assert found.new.get("observation_encoder.cameras.offsets.weight") == ("other cameras" if shared else None)


def test_another_image_encoder_is_new(opposites: Path) -> None:
    spec, statistics = seeing(opposites, CAMERAS[:1]), data_of(opposites).statistics
    first, other = (
        PolicyConfig.model_validate(SMALL | {"image_encoder": encoder})
        for encoder in ({"channels": [16], "keypoints": 4}, {"kind": "resnet", "keypoints": 4})
    )
    found = transfer(Policy(first, spec), other, spec, statistics, shown=("left",))
    cameras = [why for name, why in found.new.items() if name.startswith("observation_encoder.cameras.")]
    assert set(cameras) == {"another image encoder"}
    assert found.new["trunk.input.weight"] == "other observations"  # though as many
