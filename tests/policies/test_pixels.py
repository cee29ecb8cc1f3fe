"""Policies that see: the laws of a policy hold for images as they do for states."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import pytest
import torch

from mtil.data.batch import Batch
from mtil.data.datamodule import DemoDataModule
from mtil.errors import ConfigError
from mtil.policies.card import Card
from mtil.policies.checkpoint import CARD, load_policy
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.types import DatasetSpec, FeatureSpec

HISTORY, CHUNK, PIXELS = 3, 2, 32
CAMERAS = tuple(FeatureSpec(f"{name}_image", (PIXELS, PIXELS, 3), "uint8", "image") for name in ("front", "wrist"))
SMALL: dict[str, Any] = {
    "history": HISTORY,
    "chunk": CHUNK,
    "task_encoder": {"kind": "one_hot", "width": 8},
    "trunk": {"width": 16, "depth": 1},
    "image_encoder": {"channels": [16, 16], "keypoints": 4},
}
TRANSFORMER = {"kind": "transformer", "width": 16, "depth": 1, "heads": 2}


@dataclass(frozen=True)
class Seen:
    """A dataset's description and all of its windows."""

    spec: DatasetSpec
    batch: Batch


@pytest.fixture
def seen(data: DemoDataModule, batch: Batch) -> Seen:
    """The small dataset, with pictures of noise."""
    random = torch.Generator().manual_seed(0)
    images = {
        camera.key: torch.randint(256, (len(batch), HISTORY, *camera.shape), generator=random, dtype=torch.uint8)
        for camera in CAMERAS
    }
    spec = replace(data.store.spec, observations=(*data.store.spec.observations, *CAMERAS))
    return Seen(spec, replace(batch, observations=batch.observations | images))


def make(spec: DatasetSpec, **parts: Any) -> Policy:
    torch.manual_seed(0)
    return Policy(PolicyConfig.model_validate(SMALL | parts), spec)


def nll(policy: Policy, batch: Batch) -> torch.Tensor:
    z = policy.embed("one_hot", [policy.spec.task_names[task] for task in batch.task])
    return policy.nll(batch, z)


both_trunks = pytest.mark.parametrize("trunk", [SMALL["trunk"], TRANSFORMER], ids=["mlp", "transformer"])


@both_trunks
def test_every_pixel_key_counts(seen: Seen, trunk: dict[str, Any]) -> None:
    policy, batch = make(seen.spec, trunk=trunk), seen.batch
    found = nll(policy, batch)
    assert found.isfinite().all()
    for key in (*(camera.key for camera in CAMERAS), "proprio"):
        changed = replace(batch, observations=batch.observations | {key: batch.observations[key].flip(0)})
        assert (nll(policy, changed) - found).abs().max() > 1e-4


@both_trunks
def test_every_parameter_learns(seen: Seen, trunk: dict[str, Any]) -> None:
    policy = make(seen.spec, trunk=trunk)
    with torch.no_grad():  # FiLM begins as the identity
        for parameter in policy.observation_encoder.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    nll(policy, seen.batch).sum().backward()
    for name, parameter in policy.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_examples_do_not_see_each_other(seen: Seen) -> None:
    policy, order = make(seen.spec), torch.randperm(len(seen.batch))
    expected = nll(policy, seen.batch)[order]
    torch.testing.assert_close(nll(policy, seen.batch._map(lambda t: t[order])), expected, rtol=1e-4, atol=1e-4)


def test_images_alone_will_do(data: DemoDataModule, seen: Seen) -> None:
    spec, batch = replace(seen.spec, observations=CAMERAS), seen.batch
    policy = make(spec)
    policy.fit(data.statistics)
    images = {camera.key: batch.observations[camera.key] for camera in CAMERAS}
    found = nll(policy, replace(batch, observations=images, observation_mask={}))
    assert found.isfinite().all()
    z = policy.embed("one_hot", [policy.spec.task_names[task] for task in batch.task])
    assert policy.act(images, {}, z).shape == batch.actions.shape


def test_images_are_seen_by_a_small_network_unless_told_otherwise(seen: Seen) -> None:
    policy = Policy(PolicyConfig.model_validate({"task_encoder": {"kind": "one_hot"}}), seen.spec)
    assert policy.config.image_encoder.kind == "cnn"
    assert sum(parameter.numel() for parameter in policy.observation_encoder.parameters()) < 2 * 2e6


def test_states_told_wrongly_add_to_the_loss(data: DemoDataModule, seen: Seen) -> None:
    """In training alone, for the sake of what sees: acting and the NLL do not know of them."""
    goal, *rest = (f for f in seen.spec.observations if f.kind == "state")
    spec = replace(seen.spec, observations=(*rest, *CAMERAS), targets=(goal,))
    plain, policy = make(replace(spec, targets=())), make(spec)
    missing, _ = policy.load_state_dict(plain.state_dict(), strict=False)
    assert all(name.startswith("readout.") for name in missing)
    policy.fit(data.statistics)
    plain.fit(data.statistics)
    key = goal.key
    mask = torch.from_numpy(spec.valid(goal))[seen.batch.task]
    batch = replace(seen.batch, targets={key: seen.batch.observations[key][:, -1]}, target_mask={key: mask})
    z = policy.embed("one_hot", [spec.task_names[task] for task in batch.task])
    loss, found = policy.training_loss(batch, z)
    assert torch.equal(found, nll(plain, batch))
    assert torch.equal(found, policy.nll(batch, z))
    assert (loss - found > 0).all()
    (loss - found).sum().backward()
    seeing = [p.grad for n, p in policy.observation_encoder.named_parameters() if "film" not in n]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in seeing)
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in policy.head.parameters())
    loss, found = plain.training_loss(batch, z)
    assert torch.equal(loss, found)


def test_nothing_can_be_told_without_images(data: DemoDataModule) -> None:
    goal, proprio = data.store.spec.observations
    with pytest.raises(ConfigError, match=f"data.targets: expected images to tell them from, found {proprio.key}"):
        make(replace(data.store.spec, observations=(proprio,), targets=(goal,)))


def test_states_need_no_image_encoder(data: DemoDataModule) -> None:
    assert not list(make(data.store.spec).observation_encoder.parameters())


def test_heads_stay_exact_in_low_precision(seen: Seen) -> None:
    policy, batch = make(seen.spec), seen.batch
    with torch.autocast("cpu", torch.bfloat16):
        found = nll(policy, batch)
        z = policy.embed("one_hot", [policy.spec.task_names[task] for task in batch.task])
        actions = policy.act(batch.observations, batch.observation_mask, z)
    assert found.dtype == actions.dtype == torch.float32
    torch.testing.assert_close(found, nll(policy, batch), rtol=0.05, atol=0.05)


def test_images_of_another_kind_of_size(seen: Seen) -> None:
    tiny = replace(CAMERAS[0], shape=(8, 12, 3))
    with pytest.raises(ConfigError, match="cnn takes images of 16 pixels and more; front_image has 8x12"):
        make(replace(seen.spec, observations=(tiny,)))


@pytest.fixture
def trip(seen: Seen, tmp_path: Any) -> Callable[[Policy], Policy]:
    """A policy as it comes back from disk."""

    def go(policy: Policy) -> Policy:
        state = {f"policy.{name}": value for name, value in policy.state_dict().items()}
        card = Card(policy.config, policy.spec, None).to_json()
        file = BytesIO()
        torch.save({"state_dict": state, "global_step": 1, CARD: card}, file)
        (tmp_path / "x.ckpt").write_bytes(file.getvalue())
        return load_policy(tmp_path / "x.ckpt").policy

    return go


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("kind", ["cnn", "resnet", "resnet with weights", "pretrained"])
def test_what_is_loaded_is_the_same_and_needs_nothing_else(
    seen: Seen, trip: Callable[[Policy], Policy], tmp_path: Any, kind: str, shared: bool
) -> None:
    """Neither the network nor the files that it was made of."""
    source = tmp_path / "source"
    image_encoder = IMAGE_ENCODERS[kind](source) | {"shared": shared}
    policy = make(seen.spec, image_encoder=image_encoder).eval()
    if source.exists():
        source.rename(tmp_path / "gone")
    with torch.no_grad():
        assert torch.equal(nll(trip(policy), seen.batch), nll(policy, seen.batch))


def published(source: Any) -> dict[str, Any]:
    import torchvision

    torch.save(torchvision.models.resnet18().state_dict(), source)
    return {"kind": "resnet", "weights": str(source)}


def transformer(source: Any) -> dict[str, Any]:
    import transformers

    small: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    transformers.ViTModel(
        transformers.ViTConfig(**small, intermediate_size=8, image_size=16, patch_size=8)
    ).save_pretrained(source)
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(source)
    return {"kind": "pretrained", "model": str(source), "width": 32}


IMAGE_ENCODERS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "cnn": lambda _: SMALL["image_encoder"],
    "resnet": lambda _: {"kind": "resnet", "pooling": "average"},
    "resnet with weights": published,
    "pretrained": transformer,
}
