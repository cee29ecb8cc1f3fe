"""Models of Hugging Face's, tiny and random, as folders; and weights for some of torchvision's."""

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
import torchvision
import transformers
from safetensors.torch import save_file

Options = dict[str, Any]
PIXELS, PATCH = 16, 4


@pytest.fixture(scope="session")
def vision_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the folders `vit`, `dinov2`, `dinov2_plain`, `dinov3`, `dinov3_convnext`, `clip`, `clip_vision`,
    `siglip`, `convnext`, `resnet`; and, of 4 frames, `videomae`, `vivit`, `vjepa2`.
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
        "dinov2_plain": transformers.Dinov2Model(transformers.Dinov2Config(**small, **seen)),
        "dinov3": transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**small, **seen)),
        "dinov3_convnext": transformers.DINOv3ConvNextModel(
            transformers.DINOv3ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 1, 1], image_size=PIXELS)
        ),
        "siglip": transformers.SiglipVisionModel(transformers.SiglipVisionConfig(**small, **seen)),
        "convnext": transformers.ConvNextModel(
            transformers.ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, image_size=PIXELS)
        ),
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
    for name, model in models.items():
        pixels = 2 * PIXELS if name == "dinov3_convnext" else PIXELS
        model.save_pretrained(folder / name)
        transformers.ViTImageProcessor(
            size={"height": pixels, "width": pixels}, image_mean=[0.5, 0.4, 0.3], image_std=[0.2, 0.3, 0.4]
        ).save_pretrained(folder / name)
    return folder


WORDS = ("<pad>", "</s>", "<unk>", "open", "close", "push", "the", "a", "drawer", "door", "button", "slowly")


@pytest.fixture(scope="session")
def torchvision_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a file of randomly drawn weights for each of some small classifiers, by its name."""
    folder = tmp_path_factory.mktemp("torchvision")
    for name in (
        "shufflenet_v2_x0_5",
        "mobilenet_v3_small",
        "regnet_y_400mf",
        "densenet121",
        "swin_t",
        "squeezenet1_1",
    ):
        torch.manual_seed(0)
        save_file(torchvision.models.get_model(name, weights=None).state_dict(), folder / f"{name}.safetensors")
    return folder


@pytest.fixture(scope="session")
def text_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the folders `bert`, `bert_cls`, `roberta`, `distilbert`, `t5`, `clip`, `clip_text`, `siglip`."""
    folder = tmp_path_factory.mktemp("text")
    torch.manual_seed(0)
    ends: Options = {"vocab_size": len(WORDS), "pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 1}
    small: Options = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    long: Options = {"max_position_embeddings": 16}
    text: Options = {**small, **ends, **long}
    roberta: Options = {**text, "max_position_embeddings": 20}  # it counts from behind the padding's
    clip = transformers.CLIPTextConfig(**text, projection_dim=8)
    models = {
        "bert": transformers.BertModel(transformers.BertConfig(**text)),
        "bert_cls": transformers.BertModel(transformers.BertConfig(**text), add_pooling_layer=False),
        "roberta": transformers.RobertaModel(transformers.RobertaConfig(**roberta)),
        "distilbert": transformers.DistilBertModel(
            transformers.DistilBertConfig(**ends, dim=16, n_layers=2, n_heads=2, hidden_dim=32, **long)
        ),
        "t5": transformers.T5EncoderModel(
            transformers.T5Config(**ends, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
        ),
        "clip": transformers.CLIPModel(
            transformers.CLIPConfig(
                text_config=clip.to_dict(),
                vision_config={**small, "image_size": PIXELS, "patch_size": PATCH},
                projection_dim=8,
            )
        ),
        "clip_text": transformers.CLIPTextModel(clip),
        "siglip": transformers.SiglipTextModel(transformers.SiglipTextConfig(**text)),
    }
    for name, model in models.items():
        model.save_pretrained(folder / name)
        _tokenizer().save_pretrained(folder / name)
    pooling = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "bert_cls" / "1_Pooling").mkdir()
    (folder / "bert_cls" / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def _tokenizer() -> transformers.PreTrainedTokenizerFast:
    """Of words, each sentence with an end."""
    backend = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="<unk>")
    )
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()  # type: ignore[assignment]
    backend.post_processor = tokenizers.processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 1)])  # type: ignore[assignment]
    special = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, model_max_length=16, **special)
