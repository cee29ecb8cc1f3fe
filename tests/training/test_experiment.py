"""Whole runs: what they leave behind, how they go on, and what they refuse."""

import csv
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import h5py
import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from mtil.config import dump, read, read_yaml
from mtil.data.conversion import convert
from mtil.data.datamodule import DemoDataModule
from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.sampling import Draw
from mtil.errors import CheckpointError, ConfigError, DatasetError, OutputError
from mtil.machine import this_machine
from mtil.policies.checkpoint import load_policy
from mtil.policies.policy import Policy
from mtil.training import experiment
from mtil.training.announcement import parameter_counts
from mtil.training.config import CollectionConfig, ExperimentConfig
from mtil.training.experiment import ensure_data, train
from mtil.types import FeatureSpec, Task

MakeConfig = Callable[..., ExperimentConfig]
LANGUAGE = {"task_encoder": {"kind": "language", "width": 8}}


def start(config: ExperimentConfig, run: Path, *, resume: bool = False) -> str:
    """Train; returns what was said."""
    said = StringIO()
    try:
        train(config, run, resume=resume, console=Console(file=said, width=1000))
    except KeyboardInterrupt:
        said.write("KeyboardInterrupt")
    return said.getvalue()


def metrics(run: Path, name: str) -> dict[int, float]:
    """A column of the log, by step."""
    with (run / "metrics.csv").open(newline="") as file:
        return {int(row["step"]): float(row[name]) for row in csv.DictReader(file) if row[name]}


@pytest.fixture(scope="module")
def config(make_config: MakeConfig, opposites: Path) -> ExperimentConfig:
    return make_config(opposites, policy={"chunk": 2, "history": 2})


@pytest.fixture(scope="module")
def finished(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 60 steps; not to be changed."""
    run = tmp_path_factory.mktemp("finished") / "run"
    start(config, run)
    return run


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch, interrupts: None) -> Callable[[int], None]:
    """Has Ctrl-C pressed at the end of a step of the next runs."""

    class Interrupt(Callback):
        def __init__(self, step: int) -> None:
            self._step = step

        def on_train_batch_end(
            self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            if trainer.global_step == self._step:
                signal.raise_signal(signal.SIGINT)

    build = experiment.build_trainer

    def at(step: int) -> None:
        def interrupted(*args: Any, **options: Any) -> Trainer:
            trainer = build(*args, **options)
            trainer.callbacks.append(Interrupt(step))  # type: ignore[attr-defined]
            return trainer

        monkeypatch.setattr(experiment, "build_trainer", interrupted)

    return at


def test_run_directory(config: ExperimentConfig, finished: Path) -> None:
    assert {file.name for file in finished.iterdir()} == {
        "config.yaml", "machines.yaml", "checkpoints", "metrics.csv", "tensorboard",
    }  # fmt: skip
    assert read(ExperimentConfig, finished / "config.yaml") == config
    assert load_policy(finished).step == 60
    assert [*(finished / "tensorboard").glob("events.out.tfevents.*")]
    assert list(metrics(finished, "train/nll")) == [10, 20, 30, 40, 50, 60]
    assert list(metrics(finished, "train/nll/left")) == [10, 20, 30, 40, 50, 60]
    assert list(metrics(finished, "val/nll")) == list(metrics(finished, "val/action_error/right")) == [20, 40, 60]


def test_it_learns(finished: Path) -> None:
    for name in ("train/nll", "val/nll", "val/action_error"):
        column = list(metrics(finished, name).values())
        assert column[-1] < column[0]


def test_the_saved_policy_is_the_validated_one(config: ExperimentConfig, finished: Path) -> None:
    """Validation at the last step, and the checkpoint of that step, both use the averaged weights."""
    data = DemoDataModule(config.data, history=2, chunk=2, kinds={"one_hot": 1.0}, seed=config.seed)
    batch = data.validation.__getitems__(Draw.part(0, torch.arange(len(data.validation))))
    policy = load_policy(finished).policy
    with torch.no_grad():
        nll = policy.nll(batch, policy.embed("one_hot", [policy.spec.task_names[task] for task in batch.task]))
    balanced = torch.stack([nll[batch.task == task].mean() for task in batch.task.unique()]).mean()
    assert balanced.item() == pytest.approx(metrics(finished, "val/nll")[60], abs=1e-5)


def test_the_task_matters(config: ExperimentConfig, finished: Path) -> None:
    """At the same states the tasks do the opposite: told the other task, the policy is wrong."""
    data = DemoDataModule(config.data, history=2, chunk=2, kinds={"one_hot": 1.0}, seed=config.seed)
    batch = data.validation.__getitems__(Draw.part(0, torch.arange(len(data.validation))))
    policy = load_policy(finished).policy
    names = policy.spec.task_names
    with torch.no_grad():
        right, wrong = (
            policy.nll(batch, policy.embed("one_hot", [told[task] for task in batch.task]))
            for told in (names, names[::-1])
        )
    assert wrong.mean() > right.mean() + 1


def test_the_validation_tells_whether_the_task_matters(config: ExperimentConfig, finished: Path) -> None:
    """Where tasks do the opposite, what is told as the other fails, and what is told nothing does neither."""
    told, absent, wrong = (metrics(finished, f"val/{name}action_error/left")[60] for name in ("", "absent/", "wrong/"))
    assert told < absent < wrong
    data = DemoDataModule(config.data, history=2, chunk=2, kinds={"one_hot": 1.0}, seed=config.seed)
    batch = data.validation.__getitems__(Draw.part(0, torch.arange(len(data.validation))))
    policy = load_policy(finished).policy
    with torch.no_grad():
        nll = policy.nll(batch, policy.embed("one_hot", [policy.spec.task_names[1 - task] for task in batch.task]))
    means = [nll[batch.task == task].mean().item() for task in (0, 1)]
    logged = [metrics(finished, f"val/wrong/nll{suffix}")[60] for suffix in ("", "/left", "/right")]
    assert logged == pytest.approx([sum(means) / 2, *means], abs=1e-5)


def test_several_kinds_of_descriptor(make_config: MakeConfig, mixed: Path, tmp_path: Path, cache: Path) -> None:
    """One policy takes each; the validation tells them apart, and a task that lacks one is served by the other."""
    data = shutil.copytree(mixed, tmp_path / "demos")
    with h5py.File(data / "narrow.hdf5", "r+") as file:
        del file["data"].attrs["problem_info"]
    encoder = {"kind": "multimodal", "one_hot": {"width": 8}, "language": {"width": 8}}
    config = make_config(data, policy={"task_encoder": encoder}, trainer={"max_steps": 20, "validate_every": 10})
    run = tmp_path / "run"
    said = start(config, run)
    assert "conditioned on one_hot, language" in said
    assert "told otherwise than by language, which they lack: narrow" in said
    controls = ("val/wrong/nll/narrow", "val/absent/action_error/wide")
    for name in ("val/nll", "val/one_hot/nll", "val/language/action_error", "val/one_hot/nll/narrow", *controls):
        assert list(metrics(run, name)) == [10, 20], name
    assert not metrics(run, "val/language/nll/narrow")
    policy = load_policy(run).policy
    assert policy.kinds == ("one_hot", "language")
    assert policy.default_kind == "language"
    assert not torch.equal(policy.embed("one_hot", ["wide"]), policy.embed("language", ["stir it"]))


@pytest.mark.parametrize(
    "sections",
    [
        {"policy": {"head": {"kind": "mixture"}}},
        {"policy": {"head": {"kind": "discretised"}}},
        {"policy": {"trunk": {"width": 16, "depth": 1, "conditioning": "concat"}}},
        {"policy": LANGUAGE},
        {"policy": {"task_encoder": {"kind": "none", "width": 8}}},
        {"data": {"sampling": {"kind": "uniform"}}},
        {"data": {"validation_fraction": 0}},
        {"trainer": {"precision": "bf16-mixed"}},
    ],
    ids=str,
)
def test_other_configurations_learn_too(
    make_config: MakeConfig, opposites: Path, tmp_path: Path, cache: Path, sections: dict[str, Any]
) -> None:
    start(make_config(opposites, **sections), tmp_path / "run")
    column = list(metrics(tmp_path / "run", "train/nll").values())
    assert column[-1] < column[0] - 0.3


def test_untold_it_cannot_know(make_config: MakeConfig, opposites: Path, finished: Path, tmp_path: Path) -> None:
    """At the same states the tasks do the opposite: a policy that is not told its task does neither."""
    policy = {"task_encoder": {"kind": "none", "width": 8}, "chunk": 2, "history": 2}
    start(make_config(opposites, policy=policy), tmp_path / "run")
    assert load_policy(tmp_path / "run").policy.kinds == ("none",)
    untold, told = (metrics(run, "val/action_error")[60] for run in (tmp_path / "run", finished))
    assert untold > told


def test_says_what_it_does(finished: Path, config: ExperimentConfig, tmp_path: Path) -> None:
    said = start(config, tmp_path / "run").splitlines()
    assert said[0].startswith("2 tasks, 12 demos, 76 training and 14 validation windows;")
    assert said[0].endswith("gaussian head, conditioned on one_hot")
    assert said[1:] == [f"trained: {tmp_path / 'run'}"]


def test_counts_what_sees_and_what_is_frozen(config: ExperimentConfig) -> None:
    spec = DemoDataModule(config.data, history=1, chunk=1, kinds={"one_hot": 1.0}, seed=0).store.spec
    camera = FeatureSpec("front_image", (16, 16, 3), "uint8", "image")
    blind, seeing = (
        Policy(config.policy, replace(spec, observations=(*spec.observations, *cameras))) for cameras in ((), (camera,))
    )
    assert parameter_counts(blind) == f"{sum(p.numel() for p in blind.parameters()):,} parameters"
    seen = sum(p.numel() for p in seeing.observation_encoder.parameters())
    assert parameter_counts(seeing).endswith(f"parameters, {seen:,} of them to see")
    seeing.observation_encoder.requires_grad_(False)
    assert parameter_counts(seeing).endswith(f"parameters, {seen:,} frozen")


def test_interrupted_it_says_how_to_go_on(
    config: ExperimentConfig, tmp_path: Path, interrupt: Callable[[int], None]
) -> None:
    interrupt(37)
    said = start(config, tmp_path / "run").splitlines()
    assert said[1:] == [
        "interrupted; the last checkpoint is at step 25: --resume continues from there",
        "KeyboardInterrupt",
    ]
    interrupt(-1)
    assert f"continuing {tmp_path / 'run'} at step 25" in start(config, tmp_path / "run", resume=True)
    assert load_policy(tmp_path / "run").step == 60


def test_interrupted_before_the_first_checkpoint(
    config: ExperimentConfig, tmp_path: Path, interrupt: Callable[[int], None]
) -> None:
    interrupt(3)
    assert "interrupted before the first checkpoint; --resume starts anew" in start(config, tmp_path / "run")
    interrupt(-1)
    start(config, tmp_path / "run", resume=True)
    assert list(metrics(tmp_path / "run", "train/nll")) == [10, 20, 30, 40, 50, 60]


def test_resume_starts_where_there_is_nothing(config: ExperimentConfig, tmp_path: Path) -> None:
    assert "continuing" not in start(config, tmp_path / "run", resume=True)
    assert load_policy(tmp_path / "run").step == 60


def test_a_longer_run_continues_a_finished_one(config: ExperimentConfig, finished: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    longer = config.model_copy(update={"trainer": config.trainer.model_copy(update={"max_steps": 70})})
    assert "at step 60" in start(longer, run, resume=True)
    assert load_policy(run).step == 70
    assert read(ExperimentConfig, run / "config.yaml") == longer
    machines = read_yaml(run / "machines.yaml")
    assert [entry["step"] for entry in machines] == [0, 60]
    assert {entry["processor"] for entry in machines} == {this_machine().processor}


def test_an_existing_run_is_not_overwritten(config: ExperimentConfig, finished: Path) -> None:
    before = (finished / "metrics.csv").stat().st_mtime_ns
    with pytest.raises(OutputError, match="run: exists already; continue it with --resume"):
        start(config, finished)
    assert (finished / "metrics.csv").stat().st_mtime_ns == before


def test_a_run_is_resumed_with_its_own_configuration(make_config: MakeConfig, opposites: Path, finished: Path) -> None:
    other = make_config(opposites, policy={"chunk": 2, "history": 2}, optimizer={"learning_rate": 0.1}, seed=1)
    with pytest.raises(CheckpointError, match=r"config\.yaml: differs in seed, optimizer from what is asked for"):
        start(other, finished, resume=True)


def test_a_run_without_its_configuration_is_not_resumed(
    config: ExperimentConfig, finished: Path, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "config.yaml").unlink()
    with pytest.raises(ConfigError, match=r"config\.yaml: cannot be read"):
        start(config, run, resume=True)


def rewrite(file: Path, task: Task) -> None:
    """The same demonstrations, of another task."""
    (found,) = open_tasks(file)
    episodes = list(found.episodes())
    file.unlink()
    write_task(file.with_name(f"{task.name}.hdf5"), task, episodes, env_args={"env_name": "x", "type": 2})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: (data / "left.hdf5").unlink(), "was trained on tasks left, right; the data hold right"),
        (lambda data: rewrite(data / "left.hdf5", Task("left", ("no",))), "was trained with other instructions"),
    ],
)
def test_data_that_have_changed(
    make_config: MakeConfig, opposites: Path, tmp_path: Path, change: Callable[[Path], None], message: str
) -> None:
    data = Path(shutil.copytree(opposites, tmp_path / "data"))
    config = make_config(data, trainer={"max_steps": 2})
    start(config, tmp_path / "run")
    change(data)
    with pytest.raises(CheckpointError, match=rf"last\.ckpt: {message}"):
        start(config, tmp_path / "run", resume=True)


def test_language_without_instructions(make_config: MakeConfig, opposites: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(opposites, tmp_path / "data"))
    rewrite(data / "left.hdf5", Task("left"))
    with pytest.raises(DatasetError, match="tasks that language cannot tell: left"):
        start(make_config(data, policy=LANGUAGE), tmp_path / "run")


@pytest.mark.parametrize(
    ("sections", "kind", "name"),
    [({"data": {"tasks": ["up"]}}, DatasetError, "up"), ({"trainer": {"accelerator": "tin"}}, ConfigError, "tin")],
)
def test_a_mistake_leaves_no_run_behind(
    make_config: MakeConfig, opposites: Path, tmp_path: Path, sections: dict[str, Any], kind: type[Exception], name: str
) -> None:
    with pytest.raises(kind, match=name):
        start(make_config(opposites, **sections), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written_to(config: ExperimentConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/run: cannot be written: Not a directory"):
        start(config, tmp_path / "file" / "run")


def test_collects_what_is_not_there(make_config: MakeConfig, toy_suite: str, tmp_path: Path) -> None:
    plan = {"episodes_per_task": 2, "seed": 0}
    config = make_config(
        tmp_path / "data", data={"tasks": ["near"]}, suite=toy_suite, collection=plan, trainer={"max_steps": 2}
    )
    assert f"no demonstrations in {tmp_path / 'data'} yet, or not all: collecting" in start(config, tmp_path / "run")
    assert load_policy(tmp_path / "run").card.suite == toy_suite
    assert "no demonstrations" not in start(config, tmp_path / "again")
    other = config.model_copy(update={"collection": CollectionConfig(episodes_per_task=2, seed=1)})
    with pytest.raises(OutputError, match="seed"):
        start(other, tmp_path / "other")


def test_nothing_is_collected_into_a_lerobot_dataset(
    make_config: MakeConfig, toy_suite: str, tmp_path: Path, opposites: Path
) -> None:
    convert(opposites, tmp_path / "data", layout="lerobot")
    plan = {"episodes_per_task": 2}
    ensure_data(make_config(tmp_path / "data", suite=toy_suite, collection=plan), Console(quiet=True))
    assert not list((tmp_path / "data").glob("*.hdf5"))


ENSURE_DATA = """
if __name__ == "__main__":  # workers, which import this again, need nothing of it
    import sys
    from pathlib import Path
    from rich.console import Console
    from mtil.config import read
    from mtil.data.formats import open_tasks
    from mtil.training.config import ExperimentConfig
    from mtil.training.experiment import ensure_data

    config = read(ExperimentConfig, Path(sys.argv[1]))
    ensure_data(config, Console(quiet=True))
    print(*[f"{file.task.name}: {len(file.demos)}" for file in open_tasks(config.data.path)])
"""


def test_ranks_collect_together_and_none_goes_on_before_all_is_there(
    make_config: MakeConfig, toy_suite: str, tmp_path: Path, launch: Callable[..., Any]
) -> None:
    plan, tasks = {"episodes_per_task": 2}, {"tasks": ["near", "far"]}
    config = make_config(tmp_path / "data", data=tasks, suite=toy_suite, collection=plan)
    (tmp_path / "toy.yaml").write_text(dump(config))
    (tmp_path / "ensure.py").write_text(ENSURE_DATA)
    found = launch([[tmp_path / "ensure.py", tmp_path / "toy.yaml"]] * 2)
    assert [(rank.stdout, rank.stderr) for rank in found] == 2 * [("far: 2 near: 2\n", "")]


@pytest.mark.parametrize("suffix", [".hdf5", ".h5"])
def test_into_the_users_own_demonstrations_nothing_is_collected(
    make_config: MakeConfig, opposites: Path, toy_suite: str, tmp_path: Path, suffix: str
) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for file in opposites.iterdir():
        (own / file.name).with_suffix(suffix).symlink_to(file)
    before = sorted(own.iterdir())
    config = make_config(own, suite=toy_suite, collection={"episodes_per_task": 1}, trainer={"max_steps": 1})
    assert "collecting" not in start(config, tmp_path / "run")
    assert sorted(own.iterdir()) == before
