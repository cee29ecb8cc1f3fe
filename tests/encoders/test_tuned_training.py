"""Whole trainings of policies with pretrained networks: what they say, and how they go on."""

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from mtil.data.hdf5.writing import write_task
from mtil.policies.checkpoint import load_policy
from mtil.training.config import ExperimentConfig
from mtil.training.experiment import train
from mtil.training.finetune import finetuning
from mtil.types import Episode, Task

LORA = {"kind": "lora", "rank": 2, "learning_rate": 1e-3}
FULL = {"kind": "full", "layer_decay": 0.5, "warmup_steps": 3}
NAMES = ("task_encoders.language", "observation_encoder.cameras", "task_encoders.video")
TRAINER = {"max_steps": 6, "log_every": 2, "validate_every": 6, "checkpoint_every": 3, "keep_every": 3, "threads": 1}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks, with an image of 16 pixels at each step."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for name, sentences in (("open", ("open the drawer", "open")), ("close", ("close the drawer", "close"))):
        episodes = [
            Episode(
                observations={"front_image": rng.integers(0, 256, (5, 16, 16, 3), np.uint8)},
                actions=rng.uniform(-1, 1, (5, 2)).astype(np.float32),
                rewards=np.zeros(5, np.float32),
                dones=np.arange(5) == 4,
            )
            for _ in range(4)
        ]
        write_task(folder / f"{name}.hdf5", Task(name, sentences), episodes, env_args={"env_name": name, "type": 2})
    return folder


def config_of(pictures: Path, vision: Path, text: Path, *, language: Any, image: Any, video: Any) -> ExperimentConfig:
    shown = {"kind": "video_model", "model": str(vision / "videomae"), "tuning": video}
    return ExperimentConfig.model_validate(
        {
            "data": {
                "path": pictures,
                "batch_size": 8,
                "observations": ["front_image"],
                "clips": {"images": "front_image", "shift": 0},
                "validation_fraction": 0,
            },
            "policy": {
                "task_encoder": {
                    "kind": "multimodal",
                    "language": {"model": str(text / "bert"), "tuning": language, "width": 8, "hidden": 8},
                    "video": {"backbone": shown, "frames": 4, "features": 32, "heads": 2, "width": 8},
                },
                "image_encoder": {
                    "kind": "pretrained", "model": str(vision / "vit"), "width": 32, "tuning": image,
                },
                "trunk": {"width": 16, "depth": 1},
            },
            "optimizer": {"learning_rate": 1e-2, "warmup_steps": 1, "ema_decay": 0.5},
            "trainer": TRAINER | {"progress_bar": False},
        }
    )  # fmt: skip


def start(config: ExperimentConfig, run: Path, *, resume: bool = False) -> str:
    """Train; returns what was said."""
    said = StringIO()
    train(config, run, resume=resume, console=Console(file=said, width=1000))
    return said.getvalue()


def row(said: str, part: str) -> Sequence[str]:
    """What the table says of a part."""
    lines = [line.strip() for line in said.splitlines()]
    return next(line for line in lines if line.startswith(f"{part} ")).removeprefix(part).split()


@pytest.mark.parametrize("tunings", [(LORA, FULL, LORA), (FULL, LORA, {"kind": "frozen"})], ids=["lora", "full"])
def test_a_resumed_training_is_the_uninterrupted_one(
    pictures: Path, vision_models: Path, text_models: Path, cache: Path, tmp_path: Path, tunings: tuple[Any, Any, Any]
) -> None:
    """To the bit; and what was tuned has changed, what was frozen has not."""
    parts = dict(zip(("language", "image", "video"), tunings, strict=True))
    config, run = config_of(pictures, vision_models, text_models, **parts), tmp_path / "run"
    said = start(config, run)
    for name, tuning in zip(NAMES, tunings, strict=True):
        found = row(said, f"{name}, pretrained")
        assert found[2] == tuning["kind"]
        assert (found[1] == "0") == (tuning["kind"] == "frozen")
    expected = load_policy(run).policy.state_dict()
    checkpoints = run / "checkpoints"
    (checkpoints / "step-3.ckpt").replace(checkpoints / "last.ckpt")
    assert "continuing" in start(config, run, resume=True)
    resumed = load_policy(run).policy.state_dict()
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in expected.items())


def test_a_frozen_policy_is_fine_tuned_by_lora_and_then_as_a_whole(
    pictures: Path, vision_models: Path, text_models: Path, cache: Path, tmp_path: Path
) -> None:
    """Nothing of the networks is lost on the way; adapters are merged into what they adapt."""
    frozen: dict[str, Any] = {"language": {"kind": "frozen"}, "image": {"kind": "frozen"}, "video": {"kind": "frozen"}}
    start(config_of(pictures, vision_models, text_models, **frozen), tmp_path / "frozen")
    keys = ("policy.image_encoder.tuning", "policy.task_encoder.language.tuning")
    acted = {}
    for before, name, tuning in (("frozen", "lora", "lora"), ("lora", "full", "full")):
        settings = [*(f"{key}={{kind: {tuning}}}" for key in keys), "trainer.max_steps=1", "trainer.threads=1"]
        quiet = ["trainer.progress_bar=false", "optimizer.learning_rate=1e-12", "optimizer.ema_decay=0"]
        start(finetuning(tmp_path / before, pictures, [*settings, *quiet]), tmp_path / name)
    for name in ("frozen", "lora", "full"):
        policy = load_policy(tmp_path / name).policy
        images = torch.arange(16 * 16 * 3, dtype=torch.uint8).view(1, 1, 16, 16, 3)
        with torch.no_grad():
            acted[name] = policy.act({"front_image": images}, {}, policy.embed("language", ["open the drawer"]))
    torch.testing.assert_close(acted["lora"], acted["frozen"], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(acted["full"], acted["frozen"], atol=1e-4, rtol=1e-4)
