"""The language encoder over the real MiniLM and the sentences that ship with Meta-World."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import pytest
import torch
import yaml
from torch import Tensor

from mtil.encoders.language import LanguageEncoder
from mtil.encoders.language_model import embed_sentences
from mtil.errors import EncoderError
from mtil.types import DatasetSpec, FeatureSpec

MINILM = "all-MiniLM-L6-v2"
OPPOSITES = [(f"{thing}-open-v3", f"{thing}-close-v3") for thing in ("drawer", "window", "door")]
Instructions = Mapping[str, Sequence[str]]


SPEC = DatasetSpec((), (), FeatureSpec("actions", (1,), "float32", "action"), {})


@pytest.fixture(scope="module")
def instructions() -> Instructions:
    every = yaml.safe_load(files("mtil.sim").joinpath("metaworld.yaml").read_text())
    return {task: every[task] for pair in OPPOSITES for task in pair} | {"reach-v3": every["reach-v3"]}


@pytest.fixture(scope="module")
def encoder(cache: Path, instructions: Instructions) -> LanguageEncoder:
    torch.manual_seed(0)
    sentences = [sentence for told in instructions.values() for sentence in told]
    return LanguageEncoder(MINILM, sentences, width=16, hidden=32)


def encoder_of(sentences: Sequence[str], embeddings: Tensor, *, model: str = "/nowhere") -> LanguageEncoder:
    torch.manual_seed(0)
    return LanguageEncoder(model, sentences, known=dict(zip(sentences, embeddings, strict=True)), width=4, hidden=8)


def cosine(first: Tensor, second: Tensor) -> float:
    return torch.cosine_similarity(first, second, dim=0).item()


@pytest.mark.parametrize(("opened", "closed"), OPPOSITES)
def test_preparation_moves_opposites_apart(
    encoder: LanguageEncoder, instructions: Instructions, opened: str, closed: str
) -> None:
    pair = [instructions[opened][0], instructions[closed][0]]
    raw, prepared = cosine(*embed_sentences(MINILM, pair)), cosine(*encoder.prepare(pair))
    assert raw > 0.8
    assert prepared < raw - 0.25


def test_opposites_are_as_far_apart_as_a_unit_is_wide(encoder: LanguageEncoder, instructions: Instructions) -> None:
    """What the projection sees differs by as much as its other inputs do: it does not have to learn to amplify."""
    for opened, closed in OPPOSITES:
        first, second = encoder.prepare([instructions[opened][0], instructions[closed][0]])
        assert (first - second).square().mean().sqrt() > 0.4


def test_a_few_steps_separate_opposites(encoder: LanguageEncoder, instructions: Instructions) -> None:
    """The z of every paraphrase of "open" can be told from that of every paraphrase of "close"."""
    torch.manual_seed(0)
    opened, closed = (encoder.prepare([s for pair in OPPOSITES for s in instructions[pair[side]]]) for side in (0, 1))
    trained = encoder_of(["x"], torch.zeros(1, 384))
    verdict = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW([*trained.parameters(), *verdict.parameters()], lr=1e-2)
    label = torch.cat([torch.ones(len(opened)), torch.zeros(len(closed))])
    for _ in range(50):
        logits = verdict(trained(torch.cat([opened, closed]))).squeeze(1)
        optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, label).backward()
        optimizer.step()
    assert verdict(trained(opened)).min() > 0 > verdict(trained(closed)).max()


def test_training_sentences_are_centred_and_of_unit_variance(
    encoder: LanguageEncoder, instructions: Instructions
) -> None:
    prepared = encoder.prepare([sentence for told in instructions.values() for sentence in told])
    torch.testing.assert_close(prepared.mean(0), torch.zeros(384), atol=1e-5, rtol=0)
    assert prepared.square().mean().item() == pytest.approx(1, abs=1e-4)


def test_an_unknown_sentence_is_computed(encoder: LanguageEncoder) -> None:
    known, new = "open the drawer", "open a drawer"
    prepared = encoder.prepare([new, known, new])
    assert torch.equal(prepared[0], prepared[2])
    assert torch.equal(prepared[1], encoder.prepare([known])[0])
    assert 0.5 < cosine(prepared[0], prepared[1]) < 1


def test_an_unknown_sentence_is_prepared_like_a_known_one(cache: Path) -> None:
    sentences = ["open the drawer", "reach out", "kick the ball"]
    embeddings = embed_sentences(MINILM, sentences)
    known = encoder_of(sentences, embeddings, model=MINILM)
    as_new = encoder_of(["one", "two", "three"], embeddings, model=MINILM)
    torch.testing.assert_close(as_new.prepare(sentences), known.prepare(sentences), atol=1e-4, rtol=0)


def test_known_sentences_need_no_language_model() -> None:
    encoder = encoder_of(["go left", "go right"], torch.eye(2))
    assert encoder.prepare(["go right", "go left"]).shape == (2, 2)
    with pytest.raises(EncoderError, match="/nowhere: expected a folder"):
        encoder.prepare(["go left", "go away"])


def test_where_all_sentences_are_alike_nothing_is_blown_up(cache: Path) -> None:
    encoder = encoder_of(["go left"], embed_sentences(MINILM, ["go left"]), model=MINILM)
    assert (encoder.prepare(["go left", "go right"]) == 0).all()


def test_sentences_that_join_change_no_others() -> None:
    """The whitening stays what it was; the new sentences' embeddings are the new encoder's own."""
    before = encoder_of(["open", "close"], torch.eye(3)[:2])
    now = encoder_of(["open", "close", "lift"], torch.eye(3))
    expected = before(before.prepare(["open", "close"]))
    now.load_state_dict(now.inherit(before.state_dict(), SPEC))
    assert torch.equal(now(now.prepare(["open", "close"])), expected)
    assert torch.equal(now.embeddings, torch.eye(3))
    assert now.prepare(["lift"]).isfinite().all()


def test_a_state_of_before_the_whitening_was_kept_loads() -> None:
    encoder = encoder_of(["open", "close"], torch.eye(3)[:2])
    state = {name: tensor for name, tensor in encoder.state_dict().items() if name not in ("centre", "whitening")}
    other = encoder_of(["open", "close"], torch.randn(2, 3))
    other.load_state_dict(state)
    assert torch.equal(other.prepare(["open", "close"]), encoder.prepare(["open", "close"]))
