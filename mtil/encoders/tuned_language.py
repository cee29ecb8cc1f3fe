"""The task as a sentence, read by a language model that is trained along.

Legend: N descriptors, B batch, L tokens, E width of the sentence embedding, Z width of z.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mtil.encoders.base import TaskEncoder
from mtil.encoders.config import LanguageConfig
from mtil.encoders.language import projection, whitening_of
from mtil.encoders.language_model import embed_sentences, load_language_model
from mtil.encoders.text_model import TextModel, describe, rebuild, tokenize
from mtil.encoders.tuning import TunedEncoder, tune
from mtil.errors import EncoderError

_ARCHITECTURE, _TOKENIZER = "architecture", "tokenizer"


class TunedLanguageEncoder(TunedEncoder, TaskEncoder[str]):
    """A language model, and what a `LanguageEncoder` makes of frozen embeddings: at first they are the same function.

    The whitening is that of the pretrained embeddings of the training sentences, and stays it. Model and tokenizer are
    part of the state, so that a policy is loaded without the model's files.

    Args:
        config: Which model, how it is trained along, sizes.
        sentences: The training sentences.
        state: Of such an encoder, or of a frozen one, where it is to be loaded.

    Raises:
        EncoderError: The model is missing, altered or no text encoder, or has no such layers as LoRA is to adapt.
    """

    kind = "language"
    shared = True
    centre: Tensor
    whitening: Tensor

    def __init__(
        self, config: LanguageConfig, sentences: Sequence[str], *, state: Mapping[str, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.width, self.tuning = config.width, config.tuning
        stored = state is not None and _ARCHITECTURE in state
        self.network, self._tokenizer = _stored(state) if stored else load_language_model(config.model)  # type: ignore[arg-type]
        self.register_buffer(_ARCHITECTURE, _as_bytes(describe(self.network)))
        self.register_buffer(_TOKENIZER, _as_bytes(_written(self._tokenizer, config.model)))
        example = self._tokens([next(iter(sentences), "a task")])
        tune(self.network, config.tuning, features=lambda: self.network(example), what=config.model)
        if state is None or "whitening" not in state:
            embeddings = embed_sentences(config.model, sentences)
            centre, whitening = embeddings.mean(0), whitening_of(embeddings - embeddings.mean(0))
        else:
            centre, whitening = (torch.empty_like(state[name]) for name in ("centre", "whitening"))
        self.register_buffer("centre", centre)
        self.register_buffer("whitening", whitening)
        self.projection = projection(len(centre), hidden=config.hidden, width=config.width)
        self.train()

    def prepare(self, descriptors: Sequence[str]) -> Int[Tensor, "N 2 L"]:
        """Ids and masks of tokens."""
        return self._tokens(descriptors).to(self.centre.device)

    def forward(self, prepared: Int[Tensor, "B 2 L"]) -> Float[Tensor, "B Z"]:
        tokens = prepared if self.network.reading.padded else prepared[:, :, : _longest(prepared)]
        return self.projection((self.network(tokens) - self.centre) @ self.whitening)

    def _tokens(self, sentences: Sequence[str]) -> Int[Tensor, "N 2 L"]:
        return tokenize(self._tokenizer, sentences, self.network.reading)


def _longest(tokens: Int[Tensor, "B 2 L"]) -> int:
    """Tokens of the longest sentence, behind which there is only padding."""
    present = tokens[:, 1].amax(0) if len(tokens) else tokens.new_zeros(tokens.shape[-1])
    return max(1, int(present.sum()))


def _written(tokenizer: Any, model: str) -> dict[str, Any]:
    """A tokenizer as JSON values."""
    if not getattr(tokenizer, "is_fast", False):
        found = type(tokenizer).__name__
        raise EncoderError(
            f"{model}: expected a tokenizer that a tokenizer.json describes, to be trained; found {found}"
        )
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
    length = min(tokenizer.model_max_length, 1_000_000)
    return {"tokenizer": tokenizer.backend_tokenizer.to_str(), "special": special, "length": length}


def _stored(state: Mapping[str, Tensor]) -> tuple[TextModel, Any]:
    """The model and the tokenizer that a state holds."""
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

    written = json.loads(bytes(state[_TOKENIZER].tolist()))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(written["tokenizer"]),
        padding_side="right",
        model_max_length=written["length"],
        **written["special"],
    )
    return rebuild(json.loads(bytes(state[_ARCHITECTURE].tolist()))), tokenizer


def _as_bytes(values: Mapping[str, Any]) -> Tensor:
    return torch.tensor(list(json.dumps(values, sort_keys=True).encode()), dtype=torch.uint8)
