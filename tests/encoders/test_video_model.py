"""Clips seen as a whole by video models of Hugging Face's."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from mtil.encoders.config import VideoConfig
from mtil.encoders.multimodal import TaskEncoders
from mtil.encoders.one_hot import OneHotEncoder
from mtil.encoders.video_model import VideoModelEncoder
from mtil.errors import CheckpointError, EncoderError
from mtil.types import FeatureSpec

FRAME = FeatureSpec("camera", (20, 24, 3), "uint8", "image")
CLIPS = list(np.random.default_rng(0).integers(256, size=(3, 4, 20, 24, 3), dtype=np.uint8))
MODELS = ["videomae", "vivit", "vjepa2"]


def config_of(folder: Path, *, frames: int = 4, tuning: str = "frozen") -> VideoConfig:
    backbone = {"kind": "video_model", "model": str(folder), "tuning": {"kind": tuning}}
    return VideoConfig.model_validate({"width": 8, "frames": frames, "features": 32, "backbone": backbone})


def make(folder: Path, *, tuning: str = "frozen") -> VideoModelEncoder:
    torch.manual_seed(0)
    return VideoModelEncoder(config_of(folder, tuning=tuning), FRAME)


@pytest.mark.parametrize("name", MODELS)
def test_a_frozen_model_looks_once(vision_models: Path, name: str) -> None:
    encoder = make(vision_models / name)
    prepared = encoder.prepare(CLIPS)
    assert encoder.frozen
    assert not prepared.requires_grad
    raw = encoder.stacked(CLIPS)
    torch.testing.assert_close(encoder(prepared), encoder(raw), atol=1e-5, rtol=1e-4)
    assert encoder(prepared).shape == (3, 8)
    encoder(prepared).square().sum().backward()
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", MODELS)
def test_the_order_of_frames_matters(vision_models: Path, name: str) -> None:
    encoder = make(vision_models / name)
    forwards, backwards = (encoder(encoder.prepare([clip])) for clip in (CLIPS[0], CLIPS[0][::-1].copy()))
    assert not torch.allclose(forwards, backwards, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_trained_gets_a_gradient_for_all_that_is(vision_models: Path, name: str) -> None:
    encoder = make(vision_models / name, tuning="full")
    assert encoder.prepare(CLIPS).dtype == torch.uint8
    encoder(encoder.prepare(CLIPS)).square().sum().backward()
    assert any(p.requires_grad for p in encoder.network.parameters())
    assert all(p.grad is not None for p in encoder.parameters() if p.requires_grad)


@pytest.mark.parametrize("clips", [0, 3], ids=["no clip", "clips of others"])
@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_no_example_is_shown_to_has_a_gradient_of_zero(vision_models: Path, name: str, clips: int) -> None:
    """It could not see none, and ranks must agree on which parameters have a gradient."""
    encoder = make(vision_models / name, tuning="full")
    encoders = TaskEncoders([OneHotEncoder(("left", "right"), width=8), encoder])
    prepared = {"one_hot": torch.arange(2), "video": encoder.stacked(CLIPS)[:clips]}
    rows = {"one_hot": torch.tensor([1, 0]), "video": torch.tensor([-1, -1])}
    z = encoders(prepared, rows, torch.tensor([0, 0]))
    assert torch.equal(z, encoders["one_hot"](torch.tensor([1, 0])))
    z.square().sum().backward()
    for parameter in (p for p in encoder.parameters() if p.requires_grad):
        assert parameter.grad is not None
        assert not parameter.grad.any()


@pytest.mark.parametrize("name", MODELS)
def test_it_is_loaded_without_the_models_files(vision_models: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(vision_models / name, tmp_path / name)
    encoder = make(tmp_path / name)
    shutil.rmtree(tmp_path / name)
    again = VideoModelEncoder(config_of(tmp_path / name), FRAME, state=encoder.state_dict())
    again.load_state_dict(encoder.state_dict())
    assert torch.equal(again(again.prepare(CLIPS)), encoder(encoder.prepare(CLIPS)))


def test_mistakes(vision_models: Path) -> None:
    with pytest.raises(EncoderError, match="videomae: expected frames=4 of a clip, as it was trained on, found 6"):
        VideoModelEncoder(config_of(vision_models / "videomae", frames=6), FRAME)
    with pytest.raises(EncoderError, match="vit: expected a model of videos, found ViTModel"):
        VideoModelEncoder(config_of(vision_models / "vit"), FRAME)
    with pytest.raises(CheckpointError, match="they hold no pretrained image encoder"):
        VideoModelEncoder(config_of(vision_models / "videomae"), FRAME, state={})
    with pytest.raises(EncoderError, match="nowhere: expected a folder"):
        make(vision_models / "nowhere")
