"""Clips seen by a frozen network, which need look at them only once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mtil.encoders.config import VideoConfig
from mtil.encoders.video import VideoEncoder
from mtil.types import FeatureSpec

CLIPS = list(np.random.default_rng(0).integers(256, size=(5, 3, 20, 24, 3), dtype=np.uint8))


def make(folder: Path, *, tuning: str) -> VideoEncoder:
    torch.manual_seed(0)
    backbone = {
        "kind": "pretrained",
        "model": str(folder),
        "width": 32,
        "film": False,
        "tuning": {"kind": tuning},
    }
    config = VideoConfig.model_validate({"width": 8, "frames": 3, "features": 16, "heads": 2, "backbone": backbone})
    return VideoEncoder(config, FeatureSpec("camera", (20, 24, 3), "uint8", "image"))


@pytest.mark.parametrize("name", ["vit", "resnet"])
def test_what_was_looked_at_is_encoded_as_if_it_were_seen(vision_models: Path, name: str) -> None:
    encoder = make(vision_models / name, tuning="frozen")
    prepared = encoder.prepare(CLIPS)
    assert encoder.frozen
    assert prepared.is_floating_point()
    assert prepared.shape[:2] == (5, 3)
    assert not prepared.requires_grad
    raw = torch.from_numpy(np.stack(CLIPS))
    torch.testing.assert_close(encoder(prepared), encoder(raw), atol=1e-5, rtol=1e-4)


def test_what_reads_it_learns(vision_models: Path) -> None:
    encoder = make(vision_models / "vit", tuning="frozen")
    encoder(encoder.prepare(CLIPS)).square().sum().backward()
    trained = {name for name, parameter in encoder.named_parameters() if parameter.requires_grad}
    assert trained
    assert not any(name.startswith("backbone.network.") for name in trained)
    assert all(encoder.get_parameter(name).grad is not None for name in trained)


def test_what_is_trained_sees_each_time(vision_models: Path) -> None:
    encoder = make(vision_models / "vit", tuning="full")
    assert not encoder.frozen
    assert encoder.prepare(CLIPS).dtype == torch.uint8
