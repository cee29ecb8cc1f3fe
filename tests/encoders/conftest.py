"""Vision models of Hugging Face's, tiny and random, as folders."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

Options = dict[str, Any]
PIXELS, PATCH = 16, 4


@pytest.fixture(scope="session")
def vision_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the folders `vit`, `dinov2`, `clip`, `clip_vision`, `resnet`; and, of 4 frames, `videomae`,
    `vivit`, `vjepa2`.
    """
    folder = tmp_path_factory.mktemp("vision")
    torch.manual_seed(0)
    small: Options = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    seen: Options = {"image_size": PIXELS, "patch_size": PATCH}
    text: Options = {
        **small,
        "vocab_size": 10,
        "projection_dim": 8,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "pad_token_id": 1,
    }
    clip: Options = {**small, **seen, "projection_dim": 8}
    models = {
        "vit": transformers.ViTModel(transformers.ViTConfig(**small, **seen)),
        "dinov2": transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**small, **seen)),
        "clip": transformers.CLIPModel(transformers.CLIPConfig(text_config=text, vision_config=clip)),
        "clip_vision": transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**clip)),
        "resnet": transformers.ResNetModel(
            transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
        ),
    }
    clips: Options = {**small, "image_size": PIXELS, "num_frames": 4}
    models |= {
        "videomae": transformers.VideoMAEModel(transformers.VideoMAEConfig(**clips, patch_size=PATCH, tubelet_size=2)),
        "vivit": transformers.VivitModel(transformers.VivitConfig(**clips, tubelet_size=[2, PATCH, PATCH])),
        "vjepa2": transformers.VJEPA2Model(
            transformers.VJEPA2Config(
                **small,
                crop_size=PIXELS,
                patch_size=PATCH,
                frames_per_clip=4,
                pred_hidden_size=16,
                pred_num_attention_heads=2,
                pred_num_hidden_layers=1,
            )
        ),
    }
    processor = transformers.ViTImageProcessor(
        size={"height": PIXELS, "width": PIXELS}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
    )
    for name, model in models.items():
        model.save_pretrained(folder / name)
        processor.save_pretrained(folder / name)
    return folder
