"""Fine-tuning: what it is configured by, what it starts from, how it goes on, and what it refuses."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from rich.console import Console

from mtil.config import read
from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.sampling import Draw
from mtil.errors import CheckpointError, ConfigError, DatasetError, OutputError
from mtil.evaluation.export import export
from mtil.evaluation.run_data import run_data
from mtil.policies.checkpoint import load_policy
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig
from mtil.training.diagnosis import diagnose
from mtil.training.experiment import train
from mtil.training.finetune import finetuning
from mtil.types import Episode, FeatureSpec, Task

MakeConfig = Callable[..., ExperimentConfig]
QUICK = [
    "data.batch_size=16",
    "trainer.max_steps=20",
    "trainer.validate_every=10",
    "trainer.checkpoint_every=5",
    "trainer.threads=1",
    "trainer.progress_bar=false",
]


def start(config: ExperimentConfig, run: Path, *, resume: bool = False) -> str:
    """Train; returns what was said."""
    said = StringIO()
    train(config, run, resume=resume, console=Console(file=said, width=1000))
    return said.getvalue()


@pytest.fixture(scope="module")
def base(make_config: MakeConfig, opposites: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on `left` and `right`, told by name or sentence; not to be changed."""
    run = tmp_path_factory.mktemp("base") / "run"
    encoder = {"kind": "multimodal", "one_hot": {"width": 8}, "language": {"width": 8}}
    start(make_config(opposites, policy={"task_encoder": encoder, "chunk": 2}), run)
    return run


@pytest.fixture(scope="module")
def finished(base: Path, newcomers: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The run of its fine-tuning, and what that said."""
    run = tmp_path_factory.mktemp("finetuned") / "run"
    return run, start(finetuning(base, newcomers, QUICK), run)


def test_it_is_configured_as_the_policy_was_but_for_what_differs(base: Path, newcomers: Path) -> None:
    then, now = read(ExperimentConfig, base / "config.yaml"), finetuning(base, newcomers)
    assert (now.policy, now.seed, now.suite) == (then.policy, then.seed, then.suite)
    assert now.start is not None
    assert (now.start.policy, now.start.normalization) == (str(base), "keep")
    assert now.data == then.data.model_copy(update={"path": newcomers, "observations": ("goal", "proprio")})
    assert (now.optimizer.learning_rate, now.optimizer.ema_decay) == (3e-4, then.optimizer.ema_decay)
    assert finetuning(base, newcomers, ["start.normalization=extend"]).start != now.start


def test_an_export_is_enough(base: Path, newcomers: Path, tmp_path: Path) -> None:
    """With the configuration that it was trained with, or without."""
    export(base, tmp_path / "export")
    found = finetuning(tmp_path / "export", newcomers)
    expected = finetuning(base, newcomers)
    assert found.model_copy(update={"start": expected.start}) == expected
    (tmp_path / "export" / "config.yaml").unlink()
    bare = finetuning(tmp_path / "export", newcomers)
    assert (bare.policy, bare.data.observations) == (expected.policy, expected.data.observations)


def test_the_size_that_images_were_scaled_to_stays(base: Path, newcomers: Path, tmp_path: Path) -> None:
    """Of an export that does not tell how it was trained."""
    policy = load_policy(base).policy
    image = FeatureSpec("top_image", (16, 16, 3), "uint8", "image", scaled=True)
    spec = replace(policy.spec, observations=(*policy.spec.observations, image))
    Policy(policy.config, spec, state=policy.state_dict()).save_pretrained(tmp_path / "export", suite=None)
    assert finetuning(tmp_path / "export", newcomers).data.image_size == 16


def test_what_is_seen_otherwise_is_told_or_refused(make_config: MakeConfig, tmp_path: Path) -> None:
    """A camera that shows another part of what it sees than it did: of new tasks, and of those that are rehearsed."""
    whole = watched(tmp_path / "whole", "near", crop=None)
    part = watched(tmp_path / "part", "far", crop=[0.5, 0.5, 1, 1])
    seeing = {"image_encoder": {"channels": [16], "keypoints": 4}, "chunk": 2}
    short = {"max_steps": 2, "validate_every": 2}
    data = {"observations": ["top_image"], "validation_fraction": 0}
    start(make_config(whole, data=data, policy=seeing, trainer=short), tmp_path / "base")
    quick = [*QUICK, "trainer.max_steps=2", "trainer.validate_every=2"]
    said = start(finetuning(tmp_path / "base", part, quick), tmp_path / "run")
    assert "top_image shows something else than it did: CameraView(camera='top', size=16, crop=(0.5" in said
    with pytest.raises(DatasetError, match=r"near.hdf5: top_image: expected image .*within \(0\.5.*, found image"):
        start(finetuning(tmp_path / "base", part, [*quick, f"data.rehearsal.path={whole}"]), tmp_path / "other")


def watched(folder: Path, task: str, *, crop: list[float] | None) -> Path:
    """A task seen by a camera."""
    crops = {} if crop is None else {"camera_crops": {"top": crop}}
    cameras = {"camera_names": ["top"], "camera_heights": [16], "camera_widths": [16], **crops}
    episode = Episode(
        observations={"top_image": np.zeros((6, 16, 16, 3), np.uint8)},
        actions=np.zeros((6, 2), np.float32),
        rewards=np.zeros(6, np.float32),
        dones=np.arange(6) == 5,
    )
    env_args = {"env_name": task, "type": 2, "env_kwargs": cameras}
    write_task(folder / f"{task}.hdf5", Task(task), [episode] * 2, env_args=env_args)
    return folder


def test_what_a_stream_has_no_use_for_is_not_carried_over(base: Path, newcomers: Path) -> None:
    streamed = ["data.path=null", "data.stream={sources: [a]}"]
    assert finetuning(base, newcomers).data.validation_fraction == 0.2
    assert finetuning(base, newcomers, streamed).data.validation_fraction == 0.1


def test_new_tasks_join(base: Path, finished: tuple[Path, str]) -> None:
    run, said = finished
    assert (
        "step 60, which knows 2 tasks; new: around, with demonstrations of its own right, 1 of its own are not" in said
    )
    assert "2 of 3 tasks, 12 demos" in said
    policy = load_policy(run).policy
    assert policy.spec.task_names == ["left", "right", "around"]
    assert policy.spec.tasks[1].instructions == ("go right", "move to the right", "to the right, please")
    before = load_policy(base).policy
    assert not torch.equal(before.trunk.state_dict()["norm.weight"], policy.trunk.state_dict()["norm.weight"])
    earlier, now = before.action_normalizer, policy.action_normalizer
    assert torch.equal(earlier.scale, now.scale)
    assert policy.embed("language", ["go around", "go left"]).isfinite().all()


def test_a_resumed_run_is_the_uninterrupted_one(
    base: Path, newcomers: Path, finished: tuple[Path, str], tmp_path: Path
) -> None:
    """To the bit, and without the policy that it once started from."""
    there, run = tmp_path / "base", tmp_path / "run"
    shutil.copytree(base, there)
    config = finetuning(there, newcomers, [*QUICK, "trainer.keep_every=10"])
    start(config, run)
    checkpoints = run / "checkpoints"
    shutil.move(checkpoints / "step-10.ckpt", checkpoints / "last.ckpt")
    shutil.rmtree(there)
    assert "continuing" in start(config, run, resume=True)
    expected, found = (load_policy(each).policy.state_dict() for each in (finished[0], run))
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_rehearsal_keeps_what_is_not_new(base: Path, opposites: Path, newcomers: Path, tmp_path: Path) -> None:
    """The policy goes on imitating what is rehearsed."""
    settings = [*QUICK, "trainer.max_steps=60", "data.tasks=[around]", "optimizer.learning_rate=1e-2"]
    losses = {}
    for name, rehearsal in {"with": [f"data.rehearsal.path={opposites}"], "without": []}.items():
        said = start(finetuning(base, newcomers, [*settings, *rehearsal]), tmp_path / name)
        assert ("2 are rehearsed" in said) == (name == "with")
        assert ("it may forget them" in said) == (name == "without")
        losses[name] = _loss(tmp_path / name, opposites)
    assert losses["with"] < losses["without"]


def test_a_run_that_started_from_another_finds_its_data(finished: tuple[Path, str], newcomers: Path) -> None:
    run, _ = finished
    found = run_data(load_policy(run).policy, run)
    assert found.store.task.unique().tolist() == [1, 2]
    assert found.name(0) == "demonstration 0"


def test_gradients_need_demonstrations_of_all_tasks(finished: tuple[Path, str]) -> None:
    with pytest.raises(CheckpointError, match="expected demonstrations of all its tasks, found none of left"):
        diagnose(finished[0], batches=2, seed=0)


def _loss(run: Path, data: Path) -> float:
    """NLL of the demonstrations of another folder."""
    policy = load_policy(run).policy
    config = DataConfig(path=data, validation_fraction=0, observations=("goal", "proprio"))
    module = DemoDataModule(config, history=1, chunk=2, kinds={"language": 1.0}, vocabulary=policy.spec, seed=0)
    batch = module.train.__getitems__(Draw.part(0, torch.arange(len(module.train))))
    names = [policy.spec.tasks[task].instructions[0] for task in batch.task]
    with torch.no_grad():
        return policy.nll(batch, policy.embed("language", names)).mean().item()


def renamed(newcomers: Path, tmp_path: Path) -> Path:
    """A task of the policy under another name."""
    folder = tmp_path / "renamed"
    (file,) = (file for file in open_tasks(newcomers) if file.task.name == "around")
    episodes = list(file.episodes())
    write_task(folder / "left-v2.hdf5", Task("left-v2", ("go left",)), episodes, env_args={"env_name": "_", "type": 2})
    return folder


def other_keys(newcomers: Path, tmp_path: Path) -> Path:
    """Demonstrations with none of the keys that the policy sees."""
    folder = shutil.copytree(newcomers, tmp_path / "other")
    for path in folder.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            for demo in file["data"].values():  # type: ignore[union-attr]
                demo["obs"].move("goal", "target")
                demo["obs"].move("proprio", "joints")
    return folder


@pytest.mark.parametrize(
    ("data", "overrides", "error", "message"),
    [
        (renamed, [], CheckpointError, r"task 'left-v2': told by 'go left', as the policy's task 'left' is; give it"),
        (other_keys, [], DatasetError, r"data\.observations: unknown observation 'goal'; valid: joints, target"),
        (None, ["data.rehearsal.path={folder}"], DatasetError, "expected tasks that data.path has not, found around"),
        (None, ["policy.chunk=0"], ConfigError, "policy.chunk"),
    ],
)
def test_what_cannot_be_fine_tuned(
    base: Path,
    newcomers: Path,
    tmp_path: Path,
    data: Callable[[Path, Path], Path] | None,
    overrides: list[str],
    error: type[Exception],
    message: str,
) -> None:
    folder = newcomers if data is None else data(newcomers, tmp_path)
    with pytest.raises(error, match=message):
        start(finetuning(base, folder, [*QUICK, *(each.format(folder=folder) for each in overrides)]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_rehearsed_tasks_are_the_policys(base: Path, newcomers: Path, tmp_path: Path) -> None:
    overrides = [*QUICK, "data.tasks=[right]", f"data.rehearsal.path={newcomers}"]
    message = (
        r"data\.rehearsal: unknown task of the policy 'around'; valid: left, right; a new task belongs in data\.path"
    )
    with pytest.raises(DatasetError, match=message):
        start(finetuning(base, newcomers, overrides), tmp_path / "run")


def test_tasks_of_two_datasets_may_be_told_alike(make_config: MakeConfig, opposites: Path, tmp_path: Path) -> None:
    """Where each is told apart by a prefix, and known again."""
    again = shutil.copytree(opposites, tmp_path / "again")
    mixture = [{"path": opposites}, {"path": again, "prefix": "b-"}]
    start(make_config(tmp_path, data={"path": None, "mixture": mixture}), tmp_path / "base")
    said = start(finetuning(tmp_path / "base", again, QUICK), tmp_path / "run")
    assert "new: none, with demonstrations of its own b-left, b-right, 2 of its own are not" in said
    start(make_config(opposites), tmp_path / "single")
    joins = ["data.path=null", f"data.mixture=[{{path: {again}, prefix: b-}}]"]
    said = start(finetuning(tmp_path / "single", again, [*QUICK, *joins]), tmp_path / "joined")
    assert "which knows 2 tasks; new: b-left, b-right" in said


def test_nothing_to_start_from(newcomers: Path, tmp_path: Path, base: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such run directory, export or checkpoint"):
        finetuning(tmp_path / "nowhere", newcomers)
    config = finetuning(base, newcomers, [f"start.policy={tmp_path / 'gone'}"])
    with pytest.raises(CheckpointError, match=r"start\.policy: .*gone: no such run directory"):
        start(config, tmp_path / "run")
    with pytest.raises(OutputError, match="exists already"):
        start(finetuning(base, newcomers, QUICK), base)


def test_parts_may_be_others(base: Path, newcomers: Path, tmp_path: Path) -> None:
    settings: list[Any] = [*QUICK, "policy.head={kind: mixture}", "trainer.max_steps=5"]
    said = start(finetuning(base, newcomers, settings), tmp_path / "run")
    row = next(line.split() for line in said.splitlines() if line.split()[:1] == ["head"])
    assert row[1] == "0"
    assert row[3:] == ["another", "head"]
    assert "not used of the earlier policy: head" in said


def test_a_part_alone_is_taken_over(base: Path, newcomers: Path, tmp_path: Path) -> None:
    """The tasks of the earlier policy are not among those of the new one; a resumed run knows that, too."""
    settings = [*QUICK, "start.parts=[trunk.*]", "trainer.max_steps=5"]
    said = start(finetuning(base, newcomers, settings), tmp_path / "run")
    assert "step 60, of which trunk.* is taken over" in said
    assert load_policy(tmp_path / "run").policy.spec.task_names == ["around", "right"]
    longer = finetuning(base, newcomers, [*settings, "trainer.max_steps=7"])
    assert "continuing" in start(longer, tmp_path / "run", resume=True)
