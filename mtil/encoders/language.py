"""The task as a sentence: a frozen embedding, whitened over the training sentences, and a trained projection.

Sentence encoders place "open the drawer" and "close the drawer" at a cosine of 0.9: they share most of their words and
most of their meaning. Whitening (Su et al. 2021, arXiv:2103.15316) brings out what differs among the training
sentences. It is damped as a Wiener filter is, so that directions in which they hardly differ at all are left out: there
are fewer sentences than dimensions, and a new paraphrase should not stray far.

Legend: N descriptors, B batch, E width of the sentence embedding, S known sentences, Z width of z.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.base import TaskEncoder
from mtil.encoders.language_model import embed_sentences
from mtil.types import DatasetSpec

TINY = 1e-12  # variance of an embedding where all training sentences are alike


class LanguageEncoder(TaskEncoder[str]):
    """Projects sentence embeddings to z. Sentences seen at construction are kept, so that they need no language model.

    The whitening is part of the state: it stays what it was when sentences are added to those of an earlier training.

    Args:
        model: A text encoder, by id or folder (see `language_model`).
        sentences: The training sentences.
        known: Embeddings by sentence; those of others are computed (or taken from the cache).
        width: Size of z.
        hidden: Width of the hidden layer.
    """

    kind = "language"
    embeddings: Tensor
    centre: Tensor
    whitening: Tensor

    def __init__(
        self,
        model: str,
        sentences: Sequence[str],
        *,
        known: Mapping[str, Float[Tensor, " E"]] | None = None,
        width: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.width = width
        self._model = model
        self._rows = {sentence: row for row, sentence in enumerate(sentences)}
        self.register_buffer("embeddings", _embeddings(model, sentences, known or {}))
        self.register_buffer("centre", self.embeddings.mean(0))
        self.register_buffer("whitening", whitening_of(self.embeddings - self.centre))
        self.projection = projection(self.embeddings.shape[1], hidden=hidden, width=width)
        self.register_load_state_dict_pre_hook(_with_whitening)

    def prepare(self, descriptors: Sequence[str]) -> Float[Tensor, "N E"]:
        """Frozen embeddings of sentences, whitened, and of unit variance over the training sentences.

        Each is whitened alone: matrix kernels round differently by batch size, and a sentence has one embedding.
        """
        known = {sentence: self.embeddings[row] for sentence, row in self._rows.items()}
        found = _embeddings(self._model, descriptors, known).to(self.embeddings)
        return torch.stack([row @ self.whitening for row in found - self.centre])

    def forward(self, prepared: Float[Tensor, "B E"]) -> Float[Tensor, "B Z"]:
        return self.projection(prepared)

    def inherit(self, state: Mapping[str, Tensor], before: DatasetSpec) -> dict[str, Tensor]:
        """A state for other sentences: all of it but their embeddings."""
        return {**state, "embeddings": self.embeddings}


def projection(features: int, *, hidden: int, width: int) -> nn.Sequential:
    """What makes z of a whitened embedding."""
    return nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, width), nn.LayerNorm(width))


def _embeddings(model: str, sentences: Sequence[str], known: Mapping[str, Float[Tensor, " E"]]) -> Float[Tensor, "N E"]:
    """Embeddings of sentences, those that are not known computed."""
    new = [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]
    computed = dict(zip(new, embed_sentences(model, new), strict=True)) if new else {}
    device = next(iter(known.values())).device if known else None
    return torch.stack([computed[each].to(device) if each in computed else known[each] for each in sentences])


def _with_whitening(_: nn.Module, state: dict[str, Tensor], prefix: str, *__: object) -> None:
    """Before weights are loaded: earlier states hold no whitening, which was then always that of their sentences."""
    if f"{prefix}embeddings" in state and f"{prefix}whitening" not in state:
        embeddings = state[f"{prefix}embeddings"]
        centre = state[f"{prefix}centre"] = embeddings.mean(0)
        state[f"{prefix}whitening"] = whitening_of(embeddings - centre)


def whitening_of(centred: Float[Tensor, "S E"]) -> Float[Tensor, "E E"]:
    """The symmetric matrix whose gain along a direction of variance v is `sqrt(v) / (v + mean v)`, up to scale."""
    exact = centred.double()
    variance, direction = torch.linalg.eigh(exact.T @ exact / len(exact))
    variance = variance.clamp(min=0)
    gain = variance.sqrt() / (variance + variance.mean()).clamp(min=TINY)
    deviation = (gain.square() * variance).mean().sqrt()
    return (direction * gain @ direction.T / deviation.clamp(min=TINY)).to(centred)
