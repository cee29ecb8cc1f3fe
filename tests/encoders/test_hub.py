"""Where pretrained networks are found; what the Hub refuses is told in `test_language_model`."""

import json
import re
from pathlib import Path

import huggingface_hub.constants
import pytest
import torch
import transformers

from mtil.encoders.hub import load_network, locate
from mtil.errors import EncoderError
from mtil.hub.problems import reason


def test_a_folder_is_itself(vision_models: Path) -> None:
    assert locate(str(vision_models / "vit")) == vision_models / "vit"


def test_the_hub_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match="acme/vit: not in the Hub's local cache, and the Hub cannot be reached"):
        locate("acme/vit")


@pytest.mark.parametrize("name", ["", "config.json"])
def test_no_model_there(vision_models: Path, tmp_path: Path, name: str) -> None:
    if name:
        (tmp_path / name).write_text("{}")
    with pytest.raises(EncoderError, match=f"{re.escape(str(tmp_path))}: expected .* found none"):
        locate(str(tmp_path))


def test_loads_what_was_saved(vision_models: Path) -> None:
    network = load_network(vision_models / "vit", spare="pooler.")
    saved = transformers.AutoModel.from_pretrained(vision_models / "vit").state_dict()
    assert all(torch.equal(value, saved[name]) for name, value in network.state_dict().items())


def test_weights_that_are_missing_are_not_drawn(vision_models: Path, tmp_path: Path) -> None:
    network = transformers.AutoModel.from_pretrained(vision_models / "vit")
    network.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"its weights lack \d+ tensors that its config\.json asks for, e\.g\. "):
        load_network(tmp_path, spare="pooler.")


def test_reasons_are_one_line() -> None:
    assert reason(ValueError("one\n  two")) == "one two"
    assert reason(ValueError()) == "ValueError"
