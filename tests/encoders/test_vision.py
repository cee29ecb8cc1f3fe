import pytest
import torch

from mtil.encoders.config import CNNConfig, ImageEncoderConfig, ResNetConfig
from mtil.encoders.vision import CameraEncoders
from mtil.errors import ConfigError
from mtil.types import FeatureSpec

CONDITION = 3
SMALL = CNNConfig(channels=(16, 16), keypoints=5)
SHARED = SMALL.model_copy(update={"shared": True})
both = pytest.mark.parametrize("config", [SMALL, SHARED], ids=["each", "shared"])


def cameras(*sizes: int) -> list[FeatureSpec]:
    return [FeatureSpec(f"camera{i}", (size, size, 3), "uint8", "image") for i, size in enumerate(sizes)]


def make(config: ImageEncoderConfig, *sizes: int) -> CameraEncoders:
    """Encoders that depend on z."""
    torch.manual_seed(0)
    encoders = CameraEncoders(config, cameras(*sizes), condition=CONDITION)
    with torch.no_grad():
        for name, parameter in encoders.named_parameters():
            if "film" in name:
                parameter.normal_(std=0.3)
    return encoders


def windows(*sizes: int) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    images = {
        feature.key: torch.randint(256, (4, 2, *feature.shape), generator=random, dtype=torch.uint8)
        for feature in cameras(*sizes)
    }
    return images, torch.randn(4, CONDITION, generator=random)


@both
def test_a_stream_for_each_camera_whatever_its_size(config: CNNConfig) -> None:
    encoders, (images, z) = make(config, 16, 21), windows(16, 21)
    assert [tuple(stream.shape) for stream in encoders(images, z)] == [(4, 2, 15), (4, 2, 15)]
    assert encoders.widths == [15, 15]


@both
def test_frames_of_a_window_do_not_see_each_other(config: CNNConfig) -> None:
    encoders, (images, z) = make(config, 16), windows(16)
    (found,) = encoders(images, z)
    (turned,) = encoders({key: value.flip(1) for key, value in images.items()}, z)
    torch.testing.assert_close(turned.flip(1), found)


@both
def test_bytes_and_their_values_mean_the_same(config: CNNConfig) -> None:
    """Augmented images come as real numbers."""
    encoders, (images, z) = make(config, 16), windows(16)
    found = encoders({key: value.float() for key, value in images.items()}, z)
    assert torch.equal(found[0], encoders(images, z)[0])


def test_each_camera_has_its_own_encoder_unless_shared() -> None:
    each, shared = make(SMALL, 16, 16), make(SHARED, 16, 16)
    count = sum(parameter.numel() for parameter in make(SMALL, 16).parameters())
    assert sum(parameter.numel() for parameter in each.parameters()) == 2 * count
    assert sum(parameter.numel() for parameter in shared.parameters()) == count + 2 * CONDITION


@both
def test_the_camera_is_known(config: CNNConfig) -> None:
    """The same picture from another camera is another picture."""
    encoders, (images, z) = make(config, 16, 16), windows(16, 16)
    first, second = encoders(images | {"camera1": images["camera0"]}, z)
    assert (first - second).abs().max() > 1e-3


@both
def test_every_parameter_learns(config: CNNConfig) -> None:
    encoders = make(config, 16, 16)
    found = torch.cat(encoders(*windows(16, 16)))
    (found * torch.randn_like(found)).sum().backward()
    for name, parameter in encoders.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_images_that_are_too_small() -> None:
    with pytest.raises(
        ConfigError, match=r"policy\.image_encoder: resnet takes images of 32 pixels and more; camera1 has 31x31"
    ):
        make(ResNetConfig(), 32, 31)
