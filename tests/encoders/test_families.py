"""Every family of pretrained networks: what goes in and comes out, and what of it is trained."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtil.encoders.base import TaskEncoder
from mtil.encoders.config import LanguageConfig, PretrainedConfig, VideoConfig
from mtil.encoders.language_model import embed_sentences, load_language_model
from mtil.encoders.pretrained import PretrainedEncoder
from mtil.encoders.text_model import tokenize
from mtil.encoders.tuned_language import TunedLanguageEncoder
from mtil.encoders.tuning import TunedEncoder
from mtil.encoders.video_model import VideoModelEncoder
from mtil.errors import EncoderError
from mtil.types import FeatureSpec

IMAGES = (
    "vit", "dinov2", "dinov2_plain", "dinov3", "dinov3_convnext", "clip", "clip_vision", "siglip", "convnext", "resnet",
)  # fmt: skip
VIDEOS = ("videomae", "vivit", "vjepa2")
TEXTS = ("bert", "bert_cls", "roberta", "distilbert", "t5", "clip", "clip_text", "siglip")
TUNINGS = ("frozen", "lora", "full")
SENTENCES = ("open the drawer", "close the drawer", "push a button slowly", "open the door")
FRAME = FeatureSpec("front_image", (8, 8, 3), "uint8", "image")
Make = Callable[..., TunedEncoder]


def image_encoder(folder: Path, tuning: str, **options: Any) -> PretrainedEncoder:
    config = PretrainedConfig.model_validate({"model": str(folder), "width": 32, "tuning": {"kind": tuning}})
    return PretrainedEncoder(config, condition=2, **options)


def video_encoder(folder: Path, tuning: str, **options: Any) -> VideoModelEncoder:
    backbone = {"kind": "video_model", "model": str(folder), "tuning": {"kind": tuning}}
    config = VideoConfig.model_validate({"backbone": backbone, "frames": 4, "features": 32, "heads": 2, "width": 8})
    return VideoModelEncoder(config, FRAME, **options)


def text_encoder(folder: Path, tuning: str, **options: Any) -> TunedLanguageEncoder:
    config = LanguageConfig.model_validate({"model": str(folder), "tuning": {"kind": tuning}, "width": 8, "hidden": 8})
    return TunedLanguageEncoder(config, SENTENCES, **options)


def output(encoder: nn.Module) -> Tensor:
    """What an encoder makes of something that it takes."""
    if isinstance(encoder, TaskEncoder):
        clips = np.random.default_rng(0).integers(0, 256, (2, 4, *FRAME.shape), np.uint8)
        return encoder(encoder.prepare(SENTENCES if encoder.kind == "language" else list(clips)))
    generator = torch.Generator().manual_seed(0)
    return encoder(torch.rand(2, 3, 16, 16, generator=generator), torch.rand(2, 2, generator=generator))


CASES = [
    *((image_encoder, "vision_models", name, tuning) for name in IMAGES for tuning in TUNINGS),
    *((video_encoder, "vision_models", name, tuning) for name in VIDEOS for tuning in TUNINGS),
    *((text_encoder, "text_models", name, tuning) for name in TEXTS for tuning in ("lora", "full")),
]


@pytest.mark.parametrize(("make", "models", "name", "tuning"), CASES)
def test_what_is_trained_is_what_is_said(
    make: Make, models: str, name: str, tuning: str, request: pytest.FixtureRequest, cache: Path
) -> None:
    """Gradients reach all that is marked, and nothing else; the network stays in evaluation mode."""
    torch.manual_seed(0)
    encoder = make(request.getfixturevalue(models) / name, tuning).train()
    assert not any(module.training for module in encoder.network.modules())
    found = output(encoder)
    assert found.isfinite().all()
    found.square().sum().backward()
    reached = {name for name, parameter in encoder.named_parameters() if parameter.grad is not None}
    assert reached == {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    tuned = {name for name in reached if name.startswith("network.")}
    adapters = {name for name, _ in encoder.named_parameters() if ".lora_" in name}
    match tuning:
        case "frozen":
            assert not tuned
        case "lora":
            assert tuned == adapters != set()
        case "full":
            assert tuned
            assert not adapters


@pytest.mark.parametrize(("make", "models", "name", "tuning"), CASES)
def test_a_state_needs_none_of_the_models_files(
    make: Make, models: str, name: str, tuning: str, request: pytest.FixtureRequest, cache: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(request.getfixturevalue(models) / name, tmp_path / name))
    torch.manual_seed(0)
    encoder = make(folder, tuning).eval()
    shutil.rmtree(folder)
    with torch.no_grad():  # adapters begin at zero
        for parameter in encoder.parameters():
            parameter.add_(0.01)
    state = encoder.state_dict()
    torch.manual_seed(1)
    other = make(folder, tuning, state=state).eval()
    other.load_state_dict(state)
    assert torch.equal(output(other), output(encoder))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_trained_language_begins_as_frozen_language(text_models: Path, cache: Path, name: str, tuning: str) -> None:
    """Before its first step, told all together or one by one, a sentence is what its frozen embedding is."""
    encoder = text_encoder(text_models / name, tuning).eval()
    whitened = (embed_sentences(str(text_models / name), SENTENCES) - encoder.centre) @ encoder.whitening
    expected = encoder.projection(whitened)
    torch.testing.assert_close(output(encoder), expected, atol=1e-4, rtol=1e-4)
    alone = torch.cat([encoder(encoder.prepare([sentence])) for sentence in SENTENCES])
    torch.testing.assert_close(alone, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", TEXTS)
def test_frozen_sentences_are_kept(
    text_models: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of unit length, different for different sentences; and without the network a second time."""
    monkeypatch.setenv("MTIL_CACHE", str(tmp_path))
    first = embed_sentences(str(text_models / name), SENTENCES)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(len(SENTENCES)))
    assert torch.pdist(first).min() > 1e-4
    monkeypatch.setattr("mtil.encoders.language_model.load_language_model", None)
    assert torch.equal(embed_sentences(str(text_models / name), SENTENCES), first)


@pytest.mark.parametrize("written", [{"pooling_mode": "cls"}, {"pooling_mode_cls_token": True}])
def test_the_pooling_that_a_model_names_is_used(text_models: Path, tmp_path: Path, written: dict[str, Any]) -> None:
    """As sentence-transformers write it, now and earlier."""
    folder = Path(shutil.copytree(text_models / "bert_cls", tmp_path / "bert"))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(written))
    text, tokenizer = load_language_model(str(folder))
    tokens = tokenize(tokenizer, SENTENCES, text.reading)
    first = text.network(input_ids=tokens[:, 0], attention_mask=tokens[:, 1]).last_hidden_state[:, 0]
    torch.testing.assert_close(text(tokens), torch.nn.functional.normalize(first, dim=1))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": "weighted"}))
    with pytest.raises(EncoderError, match=r"1_Pooling/config\.json: expected one of mean_tokens, cls_token"):
        load_language_model(str(folder))


def test_a_tokenizer_that_pads_before_sentences(text_models: Path, tmp_path: Path, cache: Path) -> None:
    """Is made to pad behind them, as the encoder expects; also after it was loaded from a state."""
    folder = Path(shutil.copytree(text_models / "bert", tmp_path / "bert"))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {"padding_side": "left"}))
    encoder = text_encoder(folder, "full").eval()
    other = text_encoder(folder, "full", state=encoder.state_dict()).eval()
    other.load_state_dict(encoder.state_dict())
    alone = torch.cat([encoder(encoder.prepare([sentence])) for sentence in SENTENCES])
    for each in (encoder, other):
        torch.testing.assert_close(output(each), alone, atol=1e-5, rtol=1e-5)
