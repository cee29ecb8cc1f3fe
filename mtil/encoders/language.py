"""The task as a sentence: a frozen embedding, whitened over the training sentences, and a trained projection.

Sentence encoders place "open the drawer" and "close the drawer" at a cosine of 0.9: they share most of their words and
most of their meaning. Whitening (Su et al. 2021, arXiv:2103.15316) brings out what differs among the training
sentences. It is damped as a Wiener filter is, so that directions in which they hardly differ at all are left out: there
are fewer sentences than dimensions, and a new paraphrase should not stray far.

Legend: N descriptors, B batch, E width of the sentence embedding, S known sentences, Z width of z.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.base import TaskEncoder
from mtil.encoders.language_model import embed_sentences

TINY = 1e-12  # variance of an embedding where all training sentences are alike


class LanguageEncoder(TaskEncoder[str]):
    """Projects sentence embeddings to z. Sentences seen at construction are kept, so that they need no language model.

    Args:
        model: A text encoder, by id or folder (see `language_model`).
        sentences: The training sentences.
        embeddings: Their embeddings; None: computed (or taken from the cache).
        width: Size of z.
        hidden: Width of the hidden layer.
    """

    kind = "language"
    embeddings: Tensor

    def __init__(
        self,
        model: str,
        sentences: Sequence[str],
        *,
        embeddings: Float[Tensor, "S E"] | None = None,
        width: int,
        hidden: int,
    ) -> None:
        super().__init__()
        self.width = width
        self._model = model
        self._rows = {sentence: row for row, sentence in enumerate(sentences)}
        self.register_buffer("embeddings", embed_sentences(model, sentences) if embeddings is None else embeddings)
        self.projection = nn.Sequential(
            nn.Linear(self.embeddings.shape[1], hidden), nn.GELU(), nn.Linear(hidden, width), nn.LayerNorm(width)
        )

    def prepare(self, descriptors: Sequence[str]) -> Float[Tensor, "N E"]:
        """Frozen embeddings of sentences, whitened, and of unit variance over the training sentences.

        Each is whitened alone: matrix kernels round differently by batch size, and a sentence has one embedding.
        """
        new = [sentence for sentence in dict.fromkeys(descriptors) if sentence not in self._rows]
        computed = dict(zip(new, embed_sentences(self._model, new), strict=True)) if new else {}
        found = torch.stack(
            [computed[s].to(self.embeddings) if s in computed else self.embeddings[self._rows[s]] for s in descriptors]
        )
        centre = self.embeddings.mean(0)
        whitening = _whitening(self.embeddings - centre)
        return torch.stack([row @ whitening for row in found - centre])

    def forward(self, prepared: Float[Tensor, "B E"]) -> Float[Tensor, "B Z"]:
        return self.projection(prepared)


def _whitening(centred: Float[Tensor, "S E"]) -> Float[Tensor, "E E"]:
    """The symmetric matrix whose gain along a direction of variance v is `sqrt(v) / (v + mean v)`, up to scale."""
    exact = centred.double()
    variance, direction = torch.linalg.eigh(exact.T @ exact / len(exact))
    variance = variance.clamp(min=0)
    gain = variance.sqrt() / (variance + variance.mean()).clamp(min=TINY)
    deviation = (gain.square() * variance).mean().sqrt()
    return (direction * gain @ direction.T / deviation.clamp(min=TINY)).to(centred)
