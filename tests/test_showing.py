"""From demonstrations that show a task to a policy that is shown it, through the command line alone."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
import transformers
import yaml
from typer.testing import CliRunner

from mtil.cli import app
from mtil.encoders.config import VideoConfig
from mtil.encoders.pretrained import PretrainedEncoder
from mtil.errors import CheckpointError, MtilError
from mtil.evaluation.preparation import prepare
from mtil.evaluation.run_data import run_data
from mtil.evaluation.settings import EvaluationSettings
from mtil.evaluation.showing import demonstrations
from mtil.policies.checkpoint import load_policy
from mtil.policies.policy import Policy
from mtil.report.embeddings import embeddings
from mtil.report.run import read_run
from mtil.report.told import told
from mtil.sim.video import VideoWriter

TASKS = ("drawer-close-v3", "button-press-topdown-v3")
KINDS = ["names", "held-out clips", "goals of held-out demonstrations"]
BACKBONE = {"channels": [16], "keypoints": 8, "film": False}
VIDEO = {"width": 16, "frames": 2, "features": 16, "heads": 2, "backbone": BACKBONE}
CONFIG: dict[str, Any] = {
    "suite": "metaworld-mt10",
    "data": {
        "batch_size": 16,
        "observations": ["proprio", "objects", "goal"],
        "clips": {"images": "corner_image"},
        "goals": {"space": ["proprio", "objects"]},
        "tasks": list(TASKS),
        "validation_fraction": 0.4,
    },
    "collection": {"episodes_per_task": 5, "cameras": {"corner": {"size": 32, "crop": [0.2, 0.2, 0.8, 0.8]}}},
    "policy": {
        "task_encoder": {
            "kind": "multimodal",
            "one_hot": {"width": 16},
            "language": {"width": 16},
            "video": VIDEO,
            "goal": {"width": 16},
            "weights": {"video": 2},
            "alignment": {"kind": "contrastive"},
        },
        "z_noise": 0.1,
        "trunk": {"width": 32, "depth": 1},
    },
    "trainer": {"max_steps": 12, "threads": 1, "progress_bar": False, "validate_every": 6},
}


def mtil(*arguments: str | Path | int) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def evaluated(run: Path, *options: str | Path | int) -> dict[str, Any]:
    path = run.parent / "result.json"
    mtil("evaluate", run, "--episodes", 3, "--workers", 1, "--json", path, *options)
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with demonstrations that a camera saw, and a policy that is shown some while it imitates others."""
    folder = tmp_path_factory.mktemp("workshop")
    (folder / "shown.yaml").write_text(yaml.safe_dump(CONFIG))
    mtil("train", folder / "shown.yaml", f"data.path={folder / 'demos'}", "--out", folder / "run")
    return folder


@pytest.fixture(scope="module")
def told_by_sentences(workshop: Path) -> Path:
    """The run directory, its policy evaluated as it is by default."""
    assert evaluated(workshop / "run")["protocol"]["condition"] == "language"
    return workshop / "run"


def test_held_out_demonstrations_show_the_tasks(workshop: Path) -> None:
    """Each episode is shown by a clip and the one after it, cyclically; z is the mean of what is made of each."""
    result = evaluated(workshop / "run", "--condition", "video", "--clips", 2)
    assert result["protocol"]["condition"] == "video"
    assert result["protocol"]["clips"] == 2
    told = {each["told"] for each in result["outcomes"] if each["task"] == TASKS[0]}
    assert len(told) == 2  # 2 of 5 demonstrations were held out
    names = {name for words in told for name in words.split(", ")}
    assert len(names) == 2
    assert all(name.startswith("demonstration ") for name in names)


def test_one_policy_is_told_in_other_kinds_too(workshop: Path) -> None:
    assert load_policy(workshop / "run").policy.kinds == ("one_hot", "language", "video", "goal")
    assert evaluated(workshop / "run")["protocol"]["condition"] == "language"
    for kind in ("one_hot", "goal"):
        trials = prepare(workshop / "run", EvaluationSettings(condition=kind, episodes=2)).trials()
        told = {"one_hot": list(TASKS) * 2, "goal": ["goal 0", "goal 1"] * 2}[kind]
        assert sorted(trial.told for trial in trials) == sorted(told)


def test_the_validation_has_controls_of_every_kind(workshop: Path) -> None:
    """The held-out examples of the two tasks come one after the other; all of them are told the other task, too."""
    with (workshop / "run" / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/nll"]]
    assert [row["step"] for row in rows] == ["6", "12"]
    for name in ("val/wrong/nll", "val/absent/nll", "val/wrong/action_error", "val/absent/action_error"):
        assert all(row[name] and all(row[f"{name}/{task}"] for task in TASKS) for row in rows), name


def test_demonstrations_are_those_of_the_training_or_the_others(workshop: Path) -> None:
    policy = load_policy(workshop / "run").policy
    data = run_data(policy, workshop / "run")
    trained, held = (demonstrations(policy, data, TASKS, trained=trained) for trained in (True, False))
    for task in TASKS:
        names = [[clip.name for clip in each[task]] for each in (trained, held)]
        assert list(map(len, names)) == [3, 2]
        assert {*names[0], *names[1]} == {f"demonstration {place}" for place in range(5)}
    assert [len(each) for each in demonstrations(policy, data, TASKS, trained=True, most=1).values()] == [1, 1]


def test_the_report_tells_what_clips_are_taken_for(told_by_sentences: Path) -> None:
    found = embeddings(read_run(told_by_sentences))
    assert found is not None
    assert found.left_out == []
    clips = found.retrievals["held-out clips"]
    assert (clips.count, clips.tasks, list(found.retrievals)) == (4, 2, KINDS)
    mtil("report", told_by_sentences, "--films", 0)
    assert f'<td class="number">{clips.correct} of 4</td>' in (told_by_sentences / "report.html").read_text()


def test_where_all_is_shown_clips_of_the_training_stand_for_the_tasks(told_by_sentences: Path) -> None:
    run = read_run(told_by_sentences)
    assert run.policy is not None
    policy = run.policy.policy
    alone = Policy(policy.config.model_copy(update={"task_encoder": VideoConfig(**VIDEO)}), policy.spec)
    found = told(run, alone.eval())
    assert found.own is not None
    title, clips = found.own
    assert (title, [len(each) for each in clips.values()]) == ("clips of the training", [3, 3])
    assert [[len(each) for each in other.values()] for other in found.others.values()] == [[2, 2]]


def test_the_report_says_where_demonstrations_are_gone(told_by_sentences: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(told_by_sentences, tmp_path / "run"))
    config = yaml.safe_load((run / "config.yaml").read_text())
    config["data"]["path"] = str(tmp_path / "gone")
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    found = embeddings(read_run(run))
    assert found is not None
    assert list(found.retrievals) == ["names"]
    assert [line.partition(": ")[0] for line in found.left_out] == KINDS[1:]
    assert str(tmp_path / "gone") in found.left_out[0]


def test_videos_of_others_show_the_tasks(workshop: Path) -> None:
    """Of another size and rate than the demonstrations; a video of one shows the same as the demonstration itself."""
    for task in TASKS:
        with h5py.File(workshop / "demos" / f"{task}.hdf5") as file:
            images = np.asarray(file["data/demo_0/obs/corner_image"])
        (workshop / "videos" / task).mkdir(parents=True)
        film = VideoWriter(workshop / "videos" / task / "somebody.mp4", fps=7)
        for image in images.repeat(3, axis=1).repeat(3, axis=2):
            film.append(image)
        film.save()
    result = evaluated(workshop / "run", "--condition", "video", "--videos", workshop / "videos")
    assert {each["told"] for each in result["outcomes"]} == {f"{task}/somebody.mp4" for task in TASKS}
    assert result["protocol"]["videos"] == str(workshop / "videos")


def test_a_resumed_run_is_shown_the_same(workshop: Path) -> None:
    run = ("train", workshop / "shown.yaml", f"data.path={workshop / 'demos'}", "--out", workshop / "again")
    mtil(*run, "trainer.max_steps=6")
    mtil(*run, "--resume")
    once, twice = (load_policy(workshop / name).policy.state_dict() for name in ("run", "again"))
    assert all(torch.equal(once[name], twice[name]) for name in once)


QUIET = ("policy.z_noise=0", "data.clips.shift=0")  # what is random in a step is each rank's own


@pytest.fixture(scope="module")
def alone(workshop: Path) -> Path:
    """A run on one rank, of which nothing is random but what the data draw."""
    mtil("train", workshop / "shown.yaml", f"data.path={workshop / 'demos'}", *QUIET, "--out", workshop / "alone")
    return workshop / "alone"


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_ranks_end_where_one_does(workshop: Path, alone: Path, tmp_path: Path, strategy: str) -> None:
    """Each rank has clips and goals of its own part of a batch; what clips are contrasted with is the same on all."""
    script, run = Path(__file__).parents[1] / "scripts" / "train.py", tmp_path / "run"
    options = (f"data.path={workshop / 'demos'}", *QUIET, "trainer.devices=2", f"trainer.strategy={strategy}")
    command = [sys.executable, script, workshop / "shown.yaml", *options, "--out", run]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    one, two = (load_policy(each).policy.state_dict() for each in (alone, run))
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=1e-3, atol=3e-5)


def test_a_task_that_it_was_not_trained_on(workshop: Path, tmp_path: Path) -> None:
    """It can be told of it in words, shown it, or given its goals; it has no name for it."""
    known, other = TASKS
    tasks = f"data.tasks={json.dumps([known])}"
    data = f"data.path={workshop / 'demos'}"
    mtil("train", workshop / "shown.yaml", data, tasks, "trainer.max_steps=3", "--out", tmp_path / "run")
    told = {}
    for kind in ("language", "video", "goal"):
        prepared = prepare(tmp_path / "run", EvaluationSettings(condition=kind, tasks=(other,), episodes=3))
        assert prepared.protocol.untrained == (other,)
        told[kind] = {trial.told for trial in prepared.trials()}
    assert told["goal"] == {"goal 0", "goal 1", "goal 2"}
    assert all(words.startswith("demonstration ") for words in told["video"])
    assert "button" in " ".join(told["language"])
    assert prepare(tmp_path / "run", EvaluationSettings(tasks=(known,))).protocol.untrained is None
    with pytest.raises(CheckpointError, match=f"the policy was not trained on '{other}'"):
        prepare(tmp_path / "run", EvaluationSettings(condition="one_hot", tasks=(other,)))
    assert evaluated(tmp_path / "run", "--condition", "goal", "--tasks", other)["protocol"]["untrained"] == [other]


def test_a_frozen_network_looks_at_each_clip_once(
    workshop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small: dict[str, Any] = {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    model = transformers.ViTModel(transformers.ViTConfig(**small, image_size=16, patch_size=8))
    model.save_pretrained(tmp_path / "vit")
    transformers.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(tmp_path / "vit")
    looked = []
    look = PretrainedEncoder.look
    monkeypatch.setattr(
        PretrainedEncoder, "look", lambda self, images: looked.append(len(images)) or look(self, images)
    )
    backbone = {"kind": "pretrained", "model": str(tmp_path / "vit"), "width": 32, "film": False}
    setting = f"policy.task_encoder.video.backbone={json.dumps(backbone)}"
    data = f"data.path={workshop / 'demos'}"
    mtil("train", workshop / "shown.yaml", data, setting, "trainer.max_steps=3", "--out", tmp_path / "run")
    assert sum(looked) == 2 * 10  # two frames of each of two tasks' five demonstrations, trained on or held out
    assert len(prepare(tmp_path / "run", EvaluationSettings(condition="video", episodes=2)).trials()) == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--videos", "nowhere"), "videos are given, but the policy is conditioned on language; expected video"),
        (("--condition", "video", "--videos", "nowhere"), "nowhere: no such folder"),
        (("--condition", "none"), "unknown condition for this policy 'none'; valid: one_hot, language, video, goal"),
    ],
)
def test_mistakes(workshop: Path, options: tuple[str, ...], message: str) -> None:
    with pytest.raises(MtilError, match=message):
        mtil("evaluate", workshop / "run", *options)


def test_a_checkpoint_alone_needs_videos(workshop: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.ckpt"
    alone.write_bytes((workshop / "run" / "checkpoints" / "last.ckpt").read_bytes())
    with pytest.raises(MtilError, match=f"{alone}: not in a run directory.* give videos with --videos"):
        mtil("evaluate", alone, "--condition", "video")
