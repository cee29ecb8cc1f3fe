"""Policies on disk, sound and otherwise."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mtil.errors import CheckpointError
from mtil.policies.card import Card
from mtil.policies.checkpoint import CARD, find_checkpoint, load_policy
from mtil.policies.policy import Policy


@pytest.fixture
def policy(make_policy: Callable[..., Policy]) -> Policy:
    return make_policy()


@pytest.fixture
def content(policy: Policy) -> dict[str, Any]:
    """What Lightning writes of a policy that is called `policy`."""
    state = {f"policy.{name}": value for name, value in policy.state_dict().items()}
    card = Card(policy.config, policy.spec, "toy").to_json()
    return {"state_dict": state | {"other": torch.zeros(1)}, "global_step": 7, CARD: card}


@pytest.fixture
def run(content: dict[str, Any], tmp_path: Path) -> Path:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    torch.save(content, run / "checkpoints" / "last.ckpt")
    return run


def test_card_is_plain_json(policy: Policy) -> None:
    card = Card(policy.config, policy.spec, None)
    assert Card.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_a_run_is_its_last_checkpoint(run: Path) -> None:
    file = run / "checkpoints" / "last.ckpt"
    assert find_checkpoint(run) == find_checkpoint(file) == file


def test_round_trip(run: Path, policy: Policy) -> None:
    loaded = load_policy(run)
    assert (loaded.step, loaded.path, loaded.card.suite) == (7, run / "checkpoints" / "last.ckpt", "toy")
    assert (loaded.policy.config, loaded.policy.spec) == (policy.config, policy.spec)
    assert not loaded.policy.training
    expected = policy.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.policy.state_dict().items())


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such run directory, export or checkpoint"):
        load_policy(tmp_path / "nowhere")
    with pytest.raises(
        CheckpointError, match=r"no checkpoints/last\.ckpt and no model\.safetensors in it; expected a run directory"
    ):
        load_policy(tmp_path)


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_truncated(run: Path, share: float) -> None:
    file = run / "checkpoints" / "last.ckpt"
    whole = file.read_bytes()
    file.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"last\.ckpt: damaged, or no checkpoint: \S+") as caught:
        load_policy(run)
    assert "\n" not in str(caught.value)


def test_text(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("seed: 0\n")
    with pytest.raises(CheckpointError, match=r"config\.yaml: damaged, or no checkpoint"):
        load_policy(file)


def test_something_else_of_torch(tmp_path: Path) -> None:
    file = tmp_path / "other.pt"
    torch.save(torch.zeros(3), file)
    with pytest.raises(CheckpointError, match=r"other\.pt: expected a checkpoint, found a Tensor"):
        load_policy(file)
    torch.save({"state_dict": {}, "global_step": 3}, file)
    with pytest.raises(CheckpointError, match=r"other\.pt: a checkpoint, but not of an mtil policy: KeyError 'mtil'"):
        load_policy(file)


def test_a_card_that_has_changed(content: dict[str, Any], tmp_path: Path) -> None:
    content[CARD]["config"]["history"] = "many"
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"not of an mtil policy: ValidationError .*history") as caught:
        load_policy(tmp_path / "x.ckpt")
    assert "\n" not in str(caught.value)


class Intruder:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._mark,)


def test_code_is_not_run(content: dict[str, Any], tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    torch.save(content | {"extra": Intruder(mark)}, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt: damaged, or no checkpoint: Weights only load failed"):
        load_policy(tmp_path / "x.ckpt")
    assert not mark.exists()
