"""What every image encoder must be, whatever it is made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from mtil.encoders.config import CNNConfig, ImageEncoderConfig, PretrainedConfig, ResNetConfig, TorchvisionConfig
from mtil.encoders.image import ImageEncoder
from mtil.encoders.vision import build_image_encoder

CONDITION, PIXELS = 3, 32
SMALL: dict[str, Any] = {"channels": (16, 32), "keypoints": 4}


Case = Callable[[Path], ImageEncoderConfig]  # which may need a folder of models, or of weights


def pretrained(name: str, **options: Any) -> Case:
    return lambda folder: PretrainedConfig(model=str(folder / name), width=32, **options)


def classifier(tuning: str) -> Case:
    name = "shufflenet_v2_x0_5"
    return lambda folder: TorchvisionConfig.model_validate(
        {"model": name, "weights": str(folder / f"{name}.safetensors"), "width": 32, "tuning": {"kind": tuning}}
    )


CASES: dict[str, Case] = {
    "cnn": lambda _: CNNConfig(**SMALL),
    "cnn, coarse, plain": lambda _: CNNConfig(**SMALL, norm="none", strength=False, resolution=8),
    "resnet": lambda _: ResNetConfig(keypoints=4),
    "resnet, averaged": lambda _: ResNetConfig(pooling="average"),
    "vit": pretrained("vit"),
    "vit, trained": pretrained("vit", tuning={"kind": "full"}),
    "dinov2, averaged": pretrained("dinov2", pooling="mean"),
    "clip": pretrained("clip"),
    "clip's vision": pretrained("clip_vision"),
    "clip, trained": pretrained("clip", tuning={"kind": "full"}),
    "residual": pretrained("resnet"),
    "residual, trained": pretrained("resnet", tuning={"kind": "full"}),
    "torchvision": classifier("frozen"),
    "torchvision, trained": classifier("full"),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def config(request: pytest.FixtureRequest, case: Case, vision_models: Path) -> ImageEncoderConfig:
    named = "torchvision" in request.node.name
    return case(request.getfixturevalue("torchvision_weights") if named else vision_models)


@pytest.fixture
def encoder(config: ImageEncoderConfig) -> ImageEncoder:
    torch.manual_seed(0)
    return build_image_encoder(config, condition=CONDITION)


def inputs(count: int = 4, pixels: int = PIXELS) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(count, pixels, pixels, 3, generator=random).permute(0, 3, 1, 2)
    return images, torch.randn(count, CONDITION, generator=random)


def awake(encoder: ImageEncoder) -> ImageEncoder:
    """One whose FiLM is no longer the identity."""
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if "film" in name:
                parameter.normal_(std=0.3)
    return encoder


def test_gives_a_vector_of_its_width_for_each_image(encoder: ImageEncoder) -> None:
    found = encoder(*inputs())
    assert found.shape == (4, encoder.width)
    assert found.isfinite().all()


def test_z_says_nothing_at_first_and_something_later(encoder: ImageEncoder) -> None:
    images, z = inputs()
    assert torch.equal(encoder(images, z), encoder(images, -z))
    awake(encoder)
    assert ((encoder(images, z) - encoder(images, -z)).abs().amax(1) > 1e-4).all()


def test_without_film_z_never_says_anything(config: ImageEncoderConfig) -> None:
    encoder = build_image_encoder(config.model_copy(update={"film": False}), condition=CONDITION)
    assert not any("film" in name for name, _ in encoder.named_parameters())
    images, z = inputs()
    assert torch.equal(encoder(images, z), encoder(images, -z))


def test_images_do_not_see_each_other(encoder: ImageEncoder) -> None:
    """Neither in training: no statistics of batches are taken."""
    (images, z), order = inputs(), [2, 0, 3, 1]
    found = awake(encoder)(images, z)
    torch.testing.assert_close(encoder(images[order], z[order]), found[order], rtol=1e-4, atol=1e-5)
    others = torch.cat([images[:1], torch.zeros_like(images[1:])])
    assert torch.equal(encoder(others, z)[0], found[0])


def test_training_changes_nothing_but_weights(encoder: ImageEncoder) -> None:
    images, z = inputs()
    state = {name: value.clone() for name, value in encoder.state_dict().items()}
    trained = encoder.train()(images, z)
    assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
    assert torch.equal(encoder.eval()(images, z), trained)


def test_every_trained_weight_learns(encoder: ImageEncoder) -> None:
    trained = {name: p for name, p in awake(encoder).named_parameters() if p.requires_grad}
    found = encoder(*inputs())
    (found * torch.randn_like(found)).sum().backward()
    for name, parameter in trained.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_state_is_complete(config: ImageEncoderConfig, encoder: ImageEncoder) -> None:
    """And tells what the model looks like, which need not be there."""
    gone = {"model": "/nowhere"} if isinstance(config, PretrainedConfig) else {}
    gone = {"weights": "/nowhere"} if isinstance(config, TorchvisionConfig) else gone
    state = awake(encoder).state_dict()
    other = build_image_encoder(config.model_copy(update=gone), condition=CONDITION, state=state)
    other.load_state_dict(state)
    assert torch.equal(other(*inputs()), encoder(*inputs()))


@pytest.mark.parametrize("shape", [(33, 41), (37, 32)])
def test_odd_sizes_work(encoder: ImageEncoder, shape: tuple[int, int]) -> None:
    images, z = torch.rand(2, *shape, 3).permute(0, 3, 1, 2), torch.randn(2, CONDITION)
    assert encoder(images, z).isfinite().all()


def test_smallest_size_works(encoder: ImageEncoder) -> None:
    assert encoder(*inputs(2, encoder.smallest)).isfinite().all()


def test_low_precision_is_near(encoder: ImageEncoder) -> None:
    images, z = inputs()
    expected = encoder(images, z)
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(images, z)
    assert (found.float() - expected).abs().mean() < 0.05 * expected.abs().mean() + 0.02
