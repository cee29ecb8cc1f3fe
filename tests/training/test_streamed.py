"""A training on data that are larger than the disk, through the command line: it goes on where it was, to the bit."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from hf_rows import steps_of
from typer.testing import CliRunner

from mtil.cli import app
from mtil.evaluation.run_data import run_data
from mtil.policies.checkpoint import load_policy

CONFIG = {
    "data": {
        "batch_size": 6,
        "observations": ["state", "top"],
        "stream": {"sources": ["lift", "push/*.parquet"], "episodes": 3, "steps": 4, "held_out": 1},
        "image_size": 16,
    },
    "policy": {"task_encoder": {"kind": "one_hot"}, "image_encoder": {"channels": [16], "keypoints": 4}, "chunk": 2},
    "trainer": {
        "max_steps": 14,
        "threads": 1,
        "progress_bar": False,
        "validate_every": 5,
        "log_every": 1,
        "keep_every": 6,
    },
}


@pytest.fixture(autouse=True)
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stream for each task, and a policy trained on both."""
    monkeypatch.chdir(tmp_path)
    for task, name in enumerate(("lift", "push")):
        Path(name).mkdir()
        rows = steps_of((4, 6, 3, 5, 7, 2, 4), (task,) * 7, first=10 * task)
        rows.to_parquet(f"{name}/0.parquet")
    Path("streamed.yaml").write_text(yaml.safe_dump(CONFIG))
    mtil("train", "streamed.yaml", "--out", "run")
    return tmp_path


def mtil(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_resumed_run_is_the_uninterrupted_one() -> None:
    """Stopped in the midst of a portion, with one behind it."""
    shutil.copytree("run", "again")
    Path("again/checkpoints/step-6.ckpt").rename("again/checkpoints/last.ckpt")
    mtil("train", "streamed.yaml", "--out", "again", "--resume")
    expected, found = (load_policy(Path(run)).policy.state_dict() for run in ("run", "again"))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())
    assert Path("run/metrics.csv").read_text() == Path("again/metrics.csv").read_text()


def test_a_run_tells_of_its_first_portion(workshop: Path) -> None:
    data = run_data(load_policy(Path("run")).policy, Path("run"))
    assert (len(data.train), len(data.validation)) == (4, 2)
    assert data.store.spec.task_names == ["lift-the-cube", "push-it"]
    frames = data.store.images["top"].take(torch.arange(3).numpy()[:, None])
    assert frames.shape == (3, 1, 16, 16, 3)


def test_what_is_said_of_the_data_is_said_of_the_first_portion() -> None:
    trained = mtil("train", "streamed.yaml", "--out", "other", "trainer.max_steps=1", "trainer.keep_every=null")
    assert "of a stream's first portion: 2 tasks, 6 demos" in " ".join(trained.split())
    diagnosed = mtil("diagnose", "run", "--batches", "2")
    assert "training windows of the first portion of lift, push/*.parquet" in " ".join(diagnosed.split())


def test_it_is_fine_tuned_on_another_stream() -> None:
    told = json.dumps({"sources": ["push"], "episodes": 3, "held_out": 1})
    changes = ("data.path=null", f"data.stream={told}", "trainer.max_steps=6", "trainer.validate_every=5")
    mtil("finetune", "run", "--data", "push", *changes, "--out", "tuned")
    assert load_policy(Path("tuned")).policy.spec.task_names == ["lift-the-cube", "push-it"]
