"""Commands as a shell sees them where exit status, standard error or imports matter; else within this process."""

import json
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from typer.testing import CliRunner, Result

from mtil.cli import app
from mtil.config import dump, load
from mtil.data.hdf5 import open_task
from mtil.errors import CheckpointError, ConfigError, DatasetError, MtilError, OutputError, SimulatorError
from mtil.evaluation.metrics import EvaluationProtocol, Outcome, summary
from mtil.evaluation.results import write_json
from mtil.training.config import ExperimentConfig, presets
from mtil.types import CameraView

MAIN = """
import atexit
import sys
from mtil.cli import main

heavy = {"torch", "lightning", "transformers", "h5py", "scipy", "gymnasium", "matplotlib"}
atexit.register(lambda: print(sorted(heavy & set(sys.modules)), file=sys.stderr))
main()
"""


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def shell(*arguments: str | Path) -> tuple[int, str, str, str]:
    """Exit status, standard output, standard error, and which heavy packages were imported."""
    command = [sys.executable, "-c", MAIN, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={"COLUMNS": "100", "PATH": ""})
    *errors, imported = done.stderr.splitlines()
    return done.returncode, done.stdout, "\n".join(errors), imported


COMMANDS = [
    [],
    ["collect"],
    ["inspect"],
    ["convert"],
    ["train"],
    ["evaluate"],
    ["compare"],
    ["diagnose"],
    ["config"],
    ["config", "show"],
    ["config", "schema"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str]) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_lists_the_commands_and_imports_nothing_heavy() -> None:
    status, out, _, imported = shell("--help")
    assert status == 0
    assert all(command[0] in out for command in COMMANDS[1:])
    assert imported == "[]"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["collect", "metaworld-mt10"],
        ["collect", "metaworld-mt10", "--out", "x", "--tasks", ","],
        ["collect", "metaworld-mt10", "--out", "x", "--episodes-per-task", "0"],
        ["collect", "metaworld-mt10", "--out", "x", "--noise", "much"],
        ["convert", "a", "b"],
        ["train"],
        ["train", "mt10-state", "--resum"],
        ["evaluate"],
        ["evaluate", "run", "--episodes", "0"],
        ["diagnose"],
        ["diagnose", "run", "--batches", "1"],
        ["config", "nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2(arguments: list[str]) -> None:
    assert invoke(*arguments).exit_code == 2


def test_a_mistake_is_one_line_and_exit_status_1_and_quickly_told(tmp_path: Path) -> None:
    status, out, error, imported = shell("train", "mt10-state", "trainer.max_stesp=1", "--out", tmp_path / "run")
    assert (status, out, imported) == (1, "", "[]")
    assert error.startswith("mtil: ")
    assert "mt10-state.yaml: trainer.max_stesp: unknown key 'max_stesp'; did you mean 'max_steps'?" in error
    assert "\n" not in error
    assert not list(tmp_path.iterdir())


def test_the_installed_command_is_this_one() -> None:
    from importlib.metadata import entry_points

    (command,) = entry_points(group="console_scripts", name="mtil")
    assert command.value == "mtil.cli:main"


def test_messages_of_several_lines_become_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from mtil import cli

    monkeypatch.setattr(sys, "argv", ["mtil", "inspect", str(tmp_path / "two\nlines")])
    with pytest.raises(SystemExit, match=r"^mtil: .*two lines: no such file or folder$"):
        cli.main()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            ["train", "mt10-stat"],
            MtilError,
            r"unknown preset 'mt10-stat'; did you mean 'mt10-state'\? valid: .*; or the",
        ),
        (["config", "show", "nowhere.yaml"], MtilError, r"nowhere\.yaml: cannot be read: No such file or directory"),
        (["config", "schema", "nonsense"], MtilError, "unknown preset 'nonsense'; valid: .*mt10-state"),
        (["inspect", "nowhere"], DatasetError, "nowhere: no such file or folder"),
        (
            ["inspect", "nowhere", "--contact-sheet", "x.jpg"],
            OutputError,
            r"x\.jpg: expected a picture ending in \.png, ",
        ),
        (["convert", "nowhere", "x", "--to", "hdf5"], DatasetError, "nowhere: no such file or folder"),
        (["convert", "nowhere", "x", "--to", "lerobot"], ConfigError, "--to: unknown layout 'lerobot'; valid: hdf5"),
        (["evaluate", "nowhere"], CheckpointError, "nowhere: no such run directory or checkpoint"),
        (["evaluate", "nowhere", "--control", "none"], ConfigError, "unknown control 'none'; .*valid: wrong, absent"),
        (["evaluate", "nowhere", "--replay", "first"], ConfigError, "replay 'first': expected the number of an epis"),
        (["diagnose", "nowhere"], CheckpointError, "nowhere: no such run directory or checkpoint"),
        (["diagnose", "nowhere", "--plot", "x.jpg"], OutputError, r"x\.jpg: expected a picture ending in \.png, "),
        (["collect", "metaworld-mt1", "--out", "x"], SimulatorError, "'metaworld-mt1'.*did you mean 'metaworld-mt10'"),
        (["collect", "metaworld-mt10", "--out", "x", "--tasks", "reach"], SimulatorError, "unknown task .*'reach'"),
    ],
)
def test_names_that_do_not_exist(
    arguments: list[str], error: type[MtilError], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 1
    with pytest.raises(error, match=message):
        raise result.exception or AssertionError("no error")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", presets())
def test_what_is_shown_is_a_configuration_to_train_with(name: str, tmp_path: Path) -> None:
    shown = invoke("config", "show", name, "seed=3")
    assert shown.exit_code == 0
    assert load(ExperimentConfig, shown.output).seed == 3
    path = tmp_path / "mine.yaml"
    path.write_text(shown.output)
    assert invoke("config", "show", path).output == shown.output
    assert dump(load(ExperimentConfig, shown.output)) == shown.output


def test_the_schema_is_json_and_knows_every_key() -> None:
    schema = json.loads(invoke("config", "schema").output)
    assert list(schema["properties"]) == list(yaml.safe_load(invoke("config", "show", "mt10-state").output))
    assert schema["additionalProperties"] is False


def test_an_existing_run_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    result = invoke("train", "mt10-state", "--out", tmp_path / "run")
    with pytest.raises(
        OutputError, match="run: exists already; continue it with --resume, or choose another with --out"
    ):
        raise result.exception or AssertionError("no error")
    assert not list((tmp_path / "run").iterdir())


def test_inspecting_a_sound_dataset(opposites: Path) -> None:
    result = invoke("inspect", opposites)
    assert result.exit_code == 0
    assert "no defects" in result.output
    found = invoke("inspect", opposites, "--json")
    assert found.exit_code == 0
    assert json.loads(found.output) == {
        "tasks": [
            {"task": side, "instructions": [f"go {side}", f"move to the {side}"], "demos": 6, "steps": 45}
            for side in ("left", "right")
        ],
        "features": {
            "actions": {"shape": [2], "dtype": "float32"},
            "goal": {"shape": [2], "dtype": "float32"},
            "proprio": {"shape": [3], "dtype": "float32"},
        },
        "defects": [],
    }


def test_inspecting_a_broken_dataset_lists_every_defect(opposites: Path, tmp_path: Path) -> None:
    paths = [tmp_path / file.name for file in sorted(opposites.iterdir())]
    for path in paths:
        path.write_bytes((opposites / path.name).read_bytes())
    with h5py.File(paths[0], "r+") as file:
        file["data/demo_0/actions"][2] = float("nan")  # pyright: ignore[reportIndexIssue]
        del file["data/demo_4"].attrs["num_samples"]
    paths[1].write_bytes(paths[1].read_bytes()[:1000])
    result = invoke("inspect", tmp_path, "--json")
    assert result.exit_code == 1
    defects = json.loads(result.output)["defects"]
    assert [set(defect) for defect in defects] == [{"file", "demo", "key", "message"}] * 3
    assert [(Path(defect["file"]).name, defect["demo"]) for defect in defects] == [
        ("left.hdf5", "demo_0"),
        ("left.hdf5", "demo_4"),
        ("right.hdf5", None),
    ]
    status, out, error, _ = shell("inspect", tmp_path)
    assert (status, error) == (1, "")
    assert out.count("defect: ") == 3
    assert "3 defects" in out


def test_converting_and_looking_at_the_images(opposites: Path, tmp_path: Path) -> None:
    path, converted, sheet = tmp_path / "left.hdf5", tmp_path / "converted", tmp_path / "sheet.png"
    path.write_bytes((opposites / "left.hdf5").read_bytes())
    with h5py.File(path, "r+") as file:
        for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
            images = np.zeros((len(demo["actions"]), 8, 8, 3), np.uint8)
            demo["obs"].create_dataset("corner_image", data=images, compression="gzip")
    assert f"`mtil convert {path} DST --to hdf5`" in invoke("inspect", path).output
    assert f"{converted}: 1 files written, 0 kept" in invoke("convert", path, converted, "--to", "hdf5").output
    result = invoke("inspect", converted, "--contact-sheet", sheet)
    assert result.exit_code == 0
    assert "mtil convert" not in result.output
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_collecting_images(tmp_path: Path) -> None:
    arguments = ["metaworld-mt10", "--out", tmp_path, "--tasks", "drawer-close-v3", "--episodes-per-task", "1"]
    cameras = ["--camera", "corner, topview", "--image-size", "12", "--crop", "corner=0.2,0,0.8,0.6"]
    found = invoke("collect", *arguments, "--workers", "1", *cameras)
    assert found.exit_code == 0, found.exception
    features = open_task(tmp_path / "drawer-close-v3.hdf5").observations
    assert {feature.camera for feature in features.values()} == {
        None,
        CameraView("corner", 12, (0.2, 0.0, 0.8, 0.6)),
        CameraView("topview", 12),
    }
    wrong = invoke("collect", *arguments, *cameras, "--crop", "top=0,0,1,1")
    assert isinstance(wrong.exception, ConfigError)
    assert str(wrong.exception).startswith("crop 'top=0,0,1,1': unknown camera 'top'; did you mean 'topview'")


def test_collecting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["metaworld-mt10", "--out", tmp_path, "--tasks", " drawer-close-v3,", "--episodes-per-task", "1"]
    first = invoke("collect", *arguments, "--workers", "1")
    assert first.exit_code == 0, first.exception
    (path,) = tmp_path.iterdir()
    assert open_task(path).task.name == "drawer-close-v3"
    assert len(open_task(path).demos) == 1
    before = path.stat()
    assert invoke("collect", *arguments).exit_code == 0
    assert path.stat() == before
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, said in (("0", "2 ranks share the 1 tasks"), ("1", "")):
        monkeypatch.setenv("RANK", rank)
        found = invoke("collect", *arguments)
        assert found.output.startswith(said)
        assert bool(found.output) == bool(said)
    other = invoke("collect", *arguments, "--seed", "1")
    with pytest.raises(
        OutputError, match=r"drawer-close-v3\.hdf5: expected demonstrations with .*seed 1.*found .*seed 0"
    ):
        raise other.exception or AssertionError("no error")


def test_a_result_that_could_not_be_kept_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = invoke("evaluate", tmp_path / "no-run", "--json", tmp_path / "file" / "result.json")
    with pytest.raises(OutputError, match=r"result\.json: the result cannot be written"):
        raise result.exception or AssertionError("no error")


def test_comparing(tmp_path: Path) -> None:
    protocol = EvaluationProtocol("toy", 0, 2, horizon=20, success="near", condition="language", checkpoint="last.ckpt")
    for run, successes in (("a", (True, True)), ("b", (True, False))):
        outcomes = [Outcome("push", episode, episode, "", success, 7) for episode, success in enumerate(successes)]
        write_json(tmp_path / run / "evaluation" / "seed-0.json", summary(protocol, outcomes))
    found = invoke("compare", tmp_path / "a", tmp_path / "b", "--json", tmp_path / "comparison.json")
    assert found.exit_code == 0, found.exception
    assert "+50.0" in found.output
    assert json.loads((tmp_path / "comparison.json").read_text())["mean"]["difference"] == 0.5
    assert invoke("compare", ",", tmp_path / "b").exit_code == 2
