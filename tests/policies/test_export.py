"""Exports: what is written is what is read, and nothing else is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from mtil.data.batch import Batch
from mtil.errors import CheckpointError, OutputError
from mtil.policies.card import Card
from mtil.policies.checkpoint import find_checkpoint, load_policy
from mtil.policies.export import CONFIG, FORMAT, MODEL_CARD, WEIGHTS, write_export
from mtil.policies.policy import Policy

EXPORTS = Path(__file__).parent / "exports"
SHIPPED = sorted(folder.name for folder in EXPORTS.iterdir())


@pytest.fixture
def policy(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy().eval()


@pytest.fixture
def export(policy: Policy, tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "export"
    policy.save_pretrained(folder, suite="toy", step=7, success="| all | 99.0 |")
    return folder


def actions(policy: Policy, batch: Batch) -> Tensor:
    z = policy.embed("one_hot", [policy.spec.task_names[task] for task in batch.task.tolist()])
    return policy.act(batch.observations, batch.observation_mask, z)


@torch.no_grad()
def test_round_trip_is_exact(policy: Policy, export: Path, batch: Batch) -> None:
    found = Policy.from_pretrained(export)
    assert (found.config, found.spec, found.training) == (policy.config, policy.spec, False)
    expected = policy.state_dict()
    assert list(found.state_dict()) == list(expected)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.state_dict().items())
    assert torch.equal(actions(found, batch), actions(policy, batch))


def test_what_is_kept_beside_the_weights(export: Path, policy: Policy) -> None:
    loaded = load_policy(export)
    assert (loaded.card, loaded.step) == (Card(policy.config, policy.spec, "toy"), 7)
    assert (loaded.path, loaded.run, loaded.training) == (export / WEIGHTS, None, None)
    assert sorted(file.name for file in export.iterdir()) == [MODEL_CARD, CONFIG, WEIGHTS]


def test_the_model_card_tells_what_it_is(export: Path) -> None:
    text = (export / MODEL_CARD).read_text()
    for part in (
        "library_name: mtil",
        "# export",
        "7 steps",
        "| all | 99.0 |",
        "`wide`: stir the pot",
        "`proprio` | 3",
    ):
        assert part in text


def test_written_whole_or_not_at_all(policy: Policy, export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputError, match="export: exists already; choose another folder"):
        policy.save_pretrained(export)

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="other: the export cannot be written: No space left on device"):
        policy.save_pretrained(export.parent / "other")
    assert [folder.name for folder in export.parent.iterdir()] == ["export"]


def cut_short(export: Path) -> None:
    (export / WEIGHTS).write_bytes((export / WEIGHTS).read_bytes()[:-100])


def tampered(export: Path) -> None:
    content = bytearray((export / WEIGHTS).read_bytes())
    content[-1] ^= 1
    (export / WEIGHTS).write_bytes(content)


def no_safetensors(export: Path) -> None:
    import hashlib

    (export / WEIGHTS).write_bytes(b"weights")
    described(export, sha256={WEIGHTS: hashlib.sha256(b"weights").hexdigest()})


def other_weights(export: Path) -> None:
    import hashlib

    content = safetensors.torch.save({"other": torch.zeros(1)})
    (export / WEIGHTS).write_bytes(content)
    described(export, sha256={WEIGHTS: hashlib.sha256(content).hexdigest()})


def described(export: Path, **changes: Any) -> None:
    values = json.loads((export / CONFIG).read_text()) | changes
    (export / CONFIG).write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut_short, r"model\.safetensors: damaged, or not what was exported: expected SHA-256 .*, found"),
        (tampered, r"model\.safetensors: damaged, or not what was exported: expected SHA-256 .*, found"),
        (no_safetensors, r"model\.safetensors: no safetensors file"),
        (other_weights, r"model\.safetensors: weights do not fit the policy: .*Missing key"),
        (lambda export: (export / CONFIG).write_text("{"), r"config\.json: damaged, or not of an exported mtil policy"),
        (lambda export: (export / CONFIG).write_text("{}"), r"config\.json: damaged, or not .*KeyError 'format'"),
        (lambda export: (export / CONFIG).unlink(), r"config\.json: cannot be read: No such file"),
        (lambda export: (export / WEIGHTS).unlink(), r"export: no checkpoints/last\.ckpt and no model\.safetensors"),
        (
            lambda export: described(export, format=FORMAT + 1),
            rf"in format {FORMAT + 1}; this version, .* reads",
        ),
        (lambda export: described(export, config={"chunk": 0}), r"config\.json: damaged, .*chunk"),
    ],
)
def test_a_damaged_export_is_told_in_one_line(export: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(export)
    with pytest.raises(CheckpointError, match=message):
        load_policy(export)


def test_an_id_is_looked_up_on_the_hub(export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its local cache, as the Hub's own client lays it out."""
    revision = "0" * 40
    repository = tmp_path / "hub" / "models--somebody--stirring"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(revision)
    (repository / "snapshots").mkdir()
    export.rename(repository / "snapshots" / revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    assert load_policy(Path("somebody/stirring")).step == 7
    assert find_checkpoint(Path("somebody/stirring")).name == WEIGHTS


def test_a_mistyped_path_is_not_looked_up(export: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(export.parent.parent)
    with pytest.raises(CheckpointError, match="models/exprot: no such run directory, export or checkpoint"):
        load_policy(Path("models/exprot"))


@pytest.mark.parametrize("version", SHIPPED)
@torch.no_grad()
def test_an_export_of_an_earlier_version_acts_as_it_did(version: str) -> None:
    """Exports of the first version, and of each that changed what is written."""
    folder = EXPORTS / version
    policy = Policy.from_pretrained(folder)
    expected = safetensors.torch.load_file(folder / "expected.safetensors")
    told = {"one_hot": policy.spec.task_names, "language": [task.instructions[0] for task in policy.spec.tasks]}
    seen = {key.removeprefix("seen/"): tensor for key, tensor in expected.items() if key.startswith("seen/")}
    masks = {key.removeprefix("mask/"): tensor for key, tensor in expected.items() if key.startswith("mask/")}
    for kind in policy.kinds:
        found = policy.act(seen, masks, policy.embed(kind, told[kind]))
        np.testing.assert_allclose(found, expected[f"act/{kind}"], atol=1e-5)


def test_a_run_is_exported_with_its_configuration(policy: Policy, tmp_path: Path) -> None:
    card = Card(policy.config, policy.spec, "toy")
    write_export(tmp_path / "export", card=card, state=policy.state_dict(), training="seed: 3\n")
    training = load_policy(tmp_path / "export").training
    assert training is not None
    assert training.read_text() == "seed: 3\n"
