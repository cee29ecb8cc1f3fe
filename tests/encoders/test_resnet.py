"""Weights of residual networks: published, local, and none."""

from pathlib import Path

import pytest
import safetensors.torch
import torch
import torchvision

from mtil.encoders.config import ResNetConfig
from mtil.encoders.resnet import MEAN, STD, ResNetEncoder
from mtil.errors import EncoderError

Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def published() -> torchvision.models.ResNet:
    """A ResNet-18 with batch statistics of its own, in evaluation mode."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18()
    network(torch.randn(4, 3, 32, 32))
    return network.eval()


@pytest.fixture(params=["weights.safetensors", "weights.pth"])
def file(published: torchvision.models.ResNet, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    path = tmp_path / request.param
    if path.suffix == ".pth":
        torch.save(published.state_dict(), path)
    else:
        safetensors.torch.save_file(published.state_dict(), path)
    return path


def test_computes_what_torchvision_does(published: torchvision.models.ResNet, file: Path) -> None:
    """In training, too: published statistics stay."""
    encoder = ResNetEncoder(ResNetConfig(weights=str(file), pooling="average"), condition=2).train()
    images = torch.rand(2, 3, 40, 36)
    normalised = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    network = torch.nn.Sequential(*list(published.children())[:-1], torch.nn.Flatten())
    torch.testing.assert_close(encoder(images, torch.randn(2, 2)), network(normalised))


def test_state_needs_no_file(file: Path) -> None:
    config = ResNetConfig(weights=str(file), keypoints=4)
    encoder = ResNetEncoder(config, condition=2)
    file.unlink()
    other = ResNetEncoder(config, condition=2, fetch=False)
    other.load_state_dict(encoder.state_dict())
    images, z = torch.rand(2, 3, 32, 32), torch.randn(2, 2)
    assert torch.equal(other(images, z), encoder(images, z))


@pytest.mark.parametrize("depth", [18, 34, 50])
def test_every_depth_has_four_stages(depth: int) -> None:
    for resolution in (4, 32):
        config = ResNetConfig.model_validate({"depth": depth, "resolution": resolution, "keypoints": 4})
        encoder = ResNetEncoder(config, condition=2)
        assert encoder.films is not None
        assert len(encoder.films) == 4
        assert encoder(torch.rand(1, 3, 32, 32), torch.randn(1, 2)).shape == (1, 12)


def test_weights_of_another_network(file: Path) -> None:
    with pytest.raises(EncoderError, match=rf"{file.name}: weights of another network than resnet34: .*layer1\.2") as e:
        ResNetEncoder(ResNetConfig(depth=34, weights=str(file)), condition=2)
    assert "\n" not in str(e.value)


def test_damaged_file(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(EncoderError, match=rf"{file.name}: damaged, or no weights: \S+") as e:
        ResNetEncoder(ResNetConfig(weights=str(file)), condition=2)
    assert "\n" not in str(e.value)


def test_neither_a_name_nor_a_file() -> None:
    expected = (
        "IMAGENET1K_V3: no such file, and unknown weights of resnet18 'IMAGENET1K_V3'; did you mean 'IMAGENET1K_V1'"
    )
    with pytest.raises(EncoderError, match=expected):
        ResNetEncoder(ResNetConfig(weights="IMAGENET1K_V3"), condition=2)


def test_without_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(EncoderError, match="IMAGENET1K_V1 are not in the local cache and cannot be fetched; give"):
        ResNetEncoder(ResNetConfig(weights="IMAGENET1K_V1"), condition=2)
