"""Vision models of Hugging Face's: what they see, what stays frozen, and what cannot be used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mtil.encoders.config import PretrainedConfig
from mtil.encoders.pretrained import PretrainedEncoder
from mtil.errors import CheckpointError, EncoderError

CONDITION, PIXELS = 2, 16


def make(folder: Path, **options: object) -> PretrainedEncoder:
    torch.manual_seed(0)
    config = PretrainedConfig.model_validate({"model": str(folder), "width": 32, **options})
    return PretrainedEncoder(config, condition=CONDITION)


@pytest.fixture
def copy(vision_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(vision_models / "vit", tmp_path / "vit"))


@pytest.mark.parametrize("name", ["vit", "dinov2", "clip"])
def test_pools_the_patches_that_the_model_gives(vision_models: Path, name: str) -> None:
    """Of the whole image, resized and normalised as its processor would."""
    encoder = make(vision_models / name, film=False, pooling="mean")
    images = torch.randint(256, (2, 3, PIXELS, PIXELS), dtype=torch.uint8)
    processor = transformers.AutoImageProcessor.from_pretrained(vision_models / name)
    pixels = processor(images, return_tensors="pt", input_data_format="channels_first")["pixel_values"]
    network = transformers.AutoModel.from_pretrained(vision_models / name).eval()
    network = getattr(network, "vision_model", network)
    with torch.no_grad():
        patches = network(pixel_values=pixels).last_hidden_state[:, -16:]
        expected = encoder.pool.output(encoder.pool.norm(patches.mean(1)))
    torch.testing.assert_close(encoder(images / 255, torch.zeros(2, CONDITION)), expected, atol=1e-4, rtol=1e-3)


def test_frozen_models_stay_as_they_are(vision_models: Path) -> None:
    encoder = make(vision_models / "vit").train()
    assert not any(module.training for module in encoder.network.modules())
    assert not any(parameter.requires_grad for parameter in encoder.network.parameters())
    assert isinstance(encoder.pool, torch.nn.Module)
    assert encoder.pool.training


def test_what_the_patches_do_not_depend_on_is_not_trained(vision_models: Path) -> None:
    network = make(vision_models / "vit", tuning={"kind": "full"}).train().network
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {"pooler.dense.weight", "pooler.dense.bias"}


def test_random_numbers_are_the_callers(vision_models: Path) -> None:
    """A model with layers that its file lacks, such as a pooler, draws them."""
    drawn = []
    for name in ("vit", "clip_vision"):
        torch.manual_seed(0)
        PretrainedEncoder(PretrainedConfig(model=str(vision_models / name), width=32), condition=CONDITION)
        drawn.append(torch.rand(1))
    assert drawn[0] == drawn[1]


def test_no_path_of_this_machine_is_kept(vision_models: Path) -> None:
    written = bytes(make(vision_models / "vit").architecture.tolist()).decode()
    assert json.loads(written)["network"]["model_type"] == "vit"
    assert str(vision_models) not in written


def test_state_of_another_kind(vision_models: Path) -> None:
    config = PretrainedConfig(model=str(vision_models / "vit"))
    with pytest.raises(CheckpointError, match="weights do not fit the policy: they hold no pretrained image encoder"):
        PretrainedEncoder(config, condition=CONDITION, state={"stem.weight": torch.zeros(1)})


def spoil_processor(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()


def speak(folder: Path) -> None:
    shape: dict[str, Any] = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    transformers.BertModel(transformers.BertConfig(vocab_size=9, **shape)).save_pretrained(folder)


def lack(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (spoil_processor, "Can't load image processor"),
        (speak, "it takes input_ids, not images"),
        (lack, r"its weights lack \d+ tensors"),
    ],
)
def test_models_that_cannot_be_used(copy: Path, spoil: Callable[[Path], None], problem: str) -> None:
    spoil(copy)
    with pytest.raises(EncoderError, match=f"vit: cannot be used as an image encoder: .*{problem}") as error:
        make(copy)
    assert "\n" not in str(error.value)


def test_model_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"nothing: expected a folder with config\.json"):
        make(tmp_path / "nothing")
