"""Text networks of Hugging Face's by family, each with the pooling and padding that it was trained with.

Legend: N sentences, L tokens, E embedding dimensions.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor, nn

from mtil.encoders.hub import POOLING, load_network

Pooling = Literal["mean", "cls", "max", "last", "pooler", "projection"]
MAX_TOKENS = 256

_PADDED = ("siglip_text_model", "siglip2_text_model")
_POOLINGS: dict[str, Pooling] = {
    "clip_text_model": "projection",
    "siglip_text_model": "pooler",
    "siglip2_text_model": "pooler",
}
_SENTENCE_TRANSFORMERS: dict[str, Pooling] = {
    "mean_tokens": "mean",
    "cls_token": "cls",
    "max_tokens": "max",
    "lasttoken": "last",
}


@dataclass(frozen=True)
class Reading:
    """How a network reads sentences.

    Attributes:
        pooling: What of its outputs is the embedding: a mean, the first, the largest or the last of its tokens', its
            pooler's, or the projection into the space that it shares with images.
        length: Tokens that it takes at most.
        padded: Whether each sentence is padded to that length, as in its training, without a mask.
    """

    pooling: Pooling
    length: int
    padded: bool = False


class TextModel(nn.Module):
    """A text network and how it reads.

    Args:
        network: Of Hugging Face's.
        reading: How it reads.
    """

    def __init__(self, network: nn.Module, reading: Reading) -> None:
        super().__init__()
        self.network: Any = network
        self.reading = reading

    def forward(self, tokens: Int[Tensor, "N 2 L"]) -> Float[Tensor, "N E"]:
        """Embeddings of unit length, of ids and masks of tokens."""
        ids, mask = tokens.unbind(1)
        found = self.network(input_ids=ids) if self.reading.padded else self.network(input_ids=ids, attention_mask=mask)
        return F.normalize(_pooled(found, mask, self.reading.pooling), dim=-1)


def load_text_model(folder: Path) -> TextModel:
    """The text network of a folder, in evaluation mode.

    Raises:
        Exception: Of many kinds; transformers promises no list.
    """
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    config = getattr(whole, "text_config", whole)
    family = config.model_type
    pooling = _POOLINGS.get(family) or _told(folder)
    if pooling == "projection" and not _holds(folder, "text_projection.weight"):
        pooling = "pooler"
    kind = _class(family, pooling)
    network = load_network(folder, spare="pooler." if kind is None else "_", config=config, kind=kind)
    return TextModel(network, Reading(pooling, _length(folder, config), padded=family in _PADDED)).eval()


def describe(model: TextModel) -> dict[str, Any]:
    """What `rebuild` makes the model of again, as JSON values."""
    config = model.network.config.to_dict()
    return {
        "network": {name: value for name, value in config.items() if not name.startswith("_")},
        "reading": asdict(model.reading),
    }


def rebuild(described: Mapping[str, Any]) -> TextModel:
    """The model that was described, its weights yet to be loaded."""
    from transformers import AutoConfig, AutoModel

    config, reading = AutoConfig.for_model(**described["network"]), Reading(**described["reading"])
    kind = _class(config.model_type, reading.pooling)
    return TextModel(AutoModel.from_config(config) if kind is None else kind(config), reading).eval()


def tokenize(tokenizer: Any, sentences: Sequence[str], reading: Reading) -> Int[Tensor, "N 2 L"]:
    """Ids and masks of tokens, all sentences as long as the longest of them, or as the network takes them."""
    padding = "max_length" if reading.padded else True
    tokens = tokenizer(
        list(sentences),
        padding=padding,
        truncation=True,
        max_length=reading.length,
        return_tensors="pt",
        return_attention_mask=True,
    )
    return torch.stack([tokens["input_ids"], tokens["attention_mask"]], 1)


def _class(family: str, pooling: Pooling) -> Any:
    """The class of a family's text network; None where a configuration tells it."""
    import transformers

    match family:
        case "t5":
            return transformers.T5EncoderModel
        case "mt5":
            return transformers.MT5EncoderModel
        case "umt5":
            return transformers.UMT5EncoderModel
        case "clip_text_model":
            return transformers.CLIPTextModelWithProjection if pooling == "projection" else transformers.CLIPTextModel
        case "siglip_text_model":
            return transformers.SiglipTextModel
        case "siglip2_text_model":
            return transformers.Siglip2TextModel
        case _:
            return None


def _holds(folder: Path, name: str) -> bool:
    """Whether a tensor is among the weights of a folder."""
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as weights:
            if name in weights.keys():  # noqa: SIM118  # it is no mapping
                return True
    return False


def _told(folder: Path) -> Pooling:
    """The pooling that a model of sentence-transformers tells; of others, the mean over tokens."""
    file = folder / POOLING
    values = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if not values:
        return "mean"
    named = values.get("pooling_mode")  # as of its sixth version; earlier, one of several flags is set
    chosen: list[Pooling] = [
        pooling
        for flag, pooling in _SENTENCE_TRANSFORMERS.items()
        if values.get(f"pooling_mode_{flag}") or named in (pooling, flag)
    ]
    if len(chosen) != 1:
        raise ValueError(f"{POOLING}: expected one of {', '.join(_SENTENCE_TRANSFORMERS)}, found {values}")
    return chosen[0]


def _length(folder: Path, config: Any) -> int:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    return min(tokenizer.model_max_length, getattr(config, "max_position_embeddings", MAX_TOKENS), MAX_TOKENS)


def _pooled(found: Any, mask: Int[Tensor, "N L"], pooling: Pooling) -> Float[Tensor, "N E"]:
    if pooling == "projection":
        return found.text_embeds
    if pooling == "pooler":
        return found.pooler_output
    hidden, present = found.last_hidden_state, mask.unsqueeze(-1).float()
    match pooling:
        case "mean":  # as in Sentence-BERT (https://arxiv.org/abs/1908.10084)
            return (hidden * present).sum(1) / present.sum(1).clamp(min=1)
        case "cls":
            return hidden[:, 0]
        case "max":
            return hidden.masked_fill(present == 0, -torch.inf).amax(1)
        case "last":
            last = mask.cumsum(1).argmax(1)
            return hidden[torch.arange(len(hidden), device=hidden.device), last]
