"""Policies pushed, and used by their name on the Hub."""

import json
from pathlib import Path

import pytest
import torch
from hub_server import HubServer
from huggingface_hub import constants

from mtil.errors import CheckpointError, HubError
from mtil.evaluation.checkpoint import evaluate_checkpoint
from mtil.evaluation.export import export
from mtil.evaluation.publishing import push_policy
from mtil.evaluation.settings import EvaluationSettings
from mtil.hub.names import HubName
from mtil.policies.checkpoint import load_policy
from mtil.policies.policy import Policy

NAME = HubName("acme/reach")


def test_a_run_is_pushed_as_its_export(hub: HubServer, run_directory: Path, tmp_path: Path) -> None:
    (run_directory / "config.yaml").write_text("seed: 3\n")
    push_policy(run_directory, NAME)
    export(run_directory, tmp_path / "export", name="acme/reach")
    expected = {file.name: file.read_bytes() for file in (tmp_path / "export").iterdir()}
    assert hub.repositories["model", "acme/reach"].files() == {".gitattributes": b""} | expected
    assert b'Policy.from_pretrained("acme/reach")' in expected["README.md"]


def test_an_export_is_pushed_as_it_is(hub: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    export(checkpoint, tmp_path / "export")
    (tmp_path / "export" / "README.md").write_text("# Mine\n")
    (tmp_path / "export" / "notes.txt").write_text("not for others")
    push_policy(tmp_path / "export", NAME, private=True)
    repository = hub.repositories["model", "acme/reach"]
    assert sorted(repository.files()) == [".gitattributes", "README.md", "config.json", "model.safetensors"]
    assert repository.files()["README.md"] == b"# Mine\n"
    assert repository.private


def test_it_acts_by_its_name_as_by_its_path(hub: HubServer, checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push_policy(checkpoint, NAME)
    settings = EvaluationSettings(episodes=2)
    found, expected = (evaluate_checkpoint(path, settings, workers=1) for path in (Path("acme/reach"), checkpoint))
    assert found.outcomes == expected.outcomes
    commit = hub.repositories["model", "acme/reach"].branches["main"]
    assert f"/{commit}/model.safetensors" in found.protocol.checkpoint
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    state = load_policy(checkpoint).policy.state_dict()
    for name in ("acme/reach", "acme/reach@main", f"acme/reach@{commit}"):
        assert all(torch.equal(each, state[key]) for key, each in Policy.from_pretrained(name).state_dict().items())


def test_what_is_no_policy_there_is_told(hub: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    push_policy(checkpoint, NAME)
    files = hub.repositories["model", "acme/reach"].files()
    hub.put("model", "acme/bert", {"config.json": b"{}", "model.safetensors": b"", "pytorch_model.bin": b"pickle"})
    hub.put("model", "acme/cards", {"README.md": b"", "weights.bin": b""})
    hub.put("model", "acme/altered", files | {"model.safetensors": files["model.safetensors"][:-1] + b"!"})
    for name, problem in {
        "acme/unknown": "acme/unknown: neither a folder here nor a model on the Hub that is open to you; give a run",
        "acme/bert": "damaged, or not of an exported mtil policy",
        "acme/cards": "acme/cards: on the Hub, but no exported policy: expected model.safetensors in it, found none",
        "acme/altered": "damaged, or not what was exported: expected SHA-256",
        "reach": "reach: no such run directory, export or checkpoint, and no OWNER/NAME of a model on the Hub",
    }.items():
        with pytest.raises(CheckpointError, match=problem):
            load_policy(Path(name))
    assert not any(".bin" in asked for asked in hub.asked)


def test_what_is_no_policy_here_is_not_pushed(hub: HubServer, checkpoint: Path, tmp_path: Path) -> None:
    export(checkpoint, tmp_path / "export")
    described = json.loads((tmp_path / "export" / "config.json").read_text())
    described["sha256"]["model.safetensors"] = "0" * 64
    (tmp_path / "export" / "config.json").write_text(json.dumps(described))
    with pytest.raises(CheckpointError, match="damaged, or not what was exported"):
        push_policy(tmp_path / "export", NAME)
    assert not hub.asked
    hub.put("model", "acme/bert", {"vocab.txt": b"", "config.json": b"{}"})
    with pytest.raises(HubError, match=r"acme/bert: expected a model of this format .*, found vocab\.txt"):
        push_policy(checkpoint, HubName("acme/bert"))
