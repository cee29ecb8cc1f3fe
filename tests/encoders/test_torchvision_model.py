"""torchvision's classifiers: what is kept of each, what it is given, and what cannot be used."""

from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torchvision.models import get_model, get_model_weights

from mtil.encoders.config import TorchvisionConfig
from mtil.encoders.pooled import as_expected
from mtil.encoders.torchvision_model import TorchvisionEncoder
from mtil.encoders.tuning import layers
from mtil.errors import EncoderError

SMALL = "shufflenet_v2_x0_5"


def make(name: str, file: Path, *, fetch: bool = True, **options: Any) -> TorchvisionEncoder:
    torch.manual_seed(0)
    config = TorchvisionConfig.model_validate({"model": name, "weights": str(file), "width": 32, **options})
    return TorchvisionEncoder(config, condition=2, fetch=fetch)


@pytest.mark.parametrize(
    ("name", "features", "side"),
    [
        (SMALL, 1024, 7),
        ("mobilenet_v3_small", 576, 7),
        ("regnet_y_400mf", 440, 7),
        ("densenet121", 1024, 7),
        ("swin_t", 768, 7),
        ("squeezenet1_1", 512, 13),
    ],
)
@torch.no_grad()
def test_it_sees_what_the_classifier_classifies(torchvision_weights: Path, name: str, features: int, side: int) -> None:
    """The last map before the layers that tell classes, of the whole image as the published weights are given it."""
    encoder = make(name, torchvision_weights / f"{name}.safetensors", pooling="mean", film=False)
    images = torch.rand(2, 3, 40, 36)
    maps = encoder.patches(as_expected(images, encoder._expects))
    assert maps.shape == (2, features, side, side)
    whole: Any = get_model(name, weights=None).eval()
    whole.load_state_dict(safetensors.torch.load_file(torchvision_weights / f"{name}.safetensors"))
    published: Any = get_model_weights(name)
    given = published.DEFAULT.transforms()
    size = (given.crop_size[0], given.crop_size[0])
    resized = torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True)
    mean, std = (torch.tensor(each).view(3, 1, 1) for each in (given.mean, given.std))
    expected = whole((resized - mean) / std)
    head = whole.classifier if hasattr(whole, "classifier") else getattr(whole, "fc", None) or whole.head
    told = head(maps) if name == "squeezenet1_1" else head(maps.mean((2, 3)))
    torch.testing.assert_close(told.flatten(1), expected, atol=1e-3, rtol=1e-3)
    assert encoder(images, torch.zeros(2, 2)).shape == (2, 32)


def test_transformers_give_tokens() -> None:
    """Those of the patches; no weights are looked up here."""
    encoder = make("vit_b_32", Path("nowhere"), fetch=False)
    assert encoder.patches(torch.zeros(1, 3, 224, 224)).shape == (1, 768, 7, 7)
    assert layers(encoder.network)["encoder.layers.encoder_layer_11.mlp.0.weight"] == 12


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            SMALL,
            {"conv1.0.weight": 0, "stage2.0.branch1.0.weight": 1, "stage4.0.branch1.0.weight": 3, "conv5.0.weight": 4},
        ),
        (
            "densenet121",
            {
                "features.conv0.weight": 0,
                "features.denseblock4.denselayer1.conv1.weight": 4,
                "features.norm5.weight": 5,
            },
        ),
        ("swin_t", {"features.0.0.weight": 1, "features.7.0.norm1.weight": 8, "norm.weight": 9}),
    ],
)
def test_layers_are_numbered_from_the_input(name: str, expected: dict[str, int], torchvision_weights: Path) -> None:
    found = layers(make(name, torchvision_weights / f"{name}.safetensors").network)
    assert {parameter: found[parameter] for parameter in expected} == expected


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_what_is_trained_is_what_is_said(torchvision_weights: Path, tuning: str) -> None:
    encoder = make(SMALL, torchvision_weights / f"{SMALL}.safetensors", tuning={"kind": tuning}).train()
    assert not any(module.training for module in encoder.network.modules())
    encoder(torch.rand(2, 3, 16, 16), torch.rand(2, 2)).square().sum().backward()
    reached = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    tuned = {name for name in reached if name.startswith("network.")}
    adapters = {name for name, _ in encoder.named_parameters() if ".lora_" in name}
    assert (bool(tuned), bool(adapters)) == {"frozen": (False, False), "lora": (True, True), "full": (True, False)}[
        tuning
    ]
    assert tuning != "lora" or tuned == adapters


@pytest.mark.parametrize("tuning", ["frozen", "lora", "full"])
def test_a_state_needs_no_file(torchvision_weights: Path, tuning: str) -> None:
    encoder = make(SMALL, torchvision_weights / f"{SMALL}.safetensors", tuning={"kind": tuning})
    other = make(SMALL, Path("gone"), tuning={"kind": tuning}, fetch=False)
    other.load_state_dict(encoder.state_dict())
    images, z = torch.rand(2, 3, 32, 32), torch.randn(2, 2)
    assert torch.equal(other(images, z), encoder(images, z))


def test_models_that_cannot_be_used(torchvision_weights: Path, tmp_path: Path) -> None:
    with pytest.raises(
        EncoderError, match="unknown model of torchvision 'convnext_tinny'; did you mean 'convnext_tiny'"
    ):
        make("convnext_tinny", tmp_path)
    with pytest.raises(
        EncoderError, match=rf"no such file, and unknown weights of {SMALL} '.*gone'; valid: IMAGENET1K_V1"
    ):
        make(SMALL, tmp_path / "gone")
    with pytest.raises(EncoderError, match=f"densenet121.safetensors: weights of another network than {SMALL}: "):
        make(SMALL, torchvision_weights / "densenet121.safetensors")
    with pytest.raises(EncoderError, match=r"tuning\.targets: unknown layer for LoRA 'query'"):
        make(SMALL, torchvision_weights / f"{SMALL}.safetensors", tuning={"kind": "lora", "targets": ["query"]})
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes((torchvision_weights / f"{SMALL}.safetensors").read_bytes()[:5000])
    with pytest.raises(EncoderError, match=r"cut\.safetensors: damaged, or no weights"):
        make(SMALL, cut)
