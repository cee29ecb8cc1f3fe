"""Commands as a shell sees them where exit status, standard error or imports matter; else within this process."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from typer.testing import Result

from mtil.config import dump, load
from mtil.errors import CheckpointError, ConfigError, DatasetError, MtilError, OutputError, SimulatorError
from mtil.training.config import ExperimentConfig, presets

Invoke = Callable[..., Result]
Shell = Callable[..., tuple[int, str, str, str]]
COMMANDS = [
    [],
    ["collect"],
    ["inspect"],
    ["convert"],
    ["train"],
    ["finetune"],
    ["evaluate"],
    ["export"],
    ["compare"],
    ["report"],
    ["serve"],
    ["diagnose"],
    ["config"],
    ["config", "show"],
    ["config", "schema"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(command: list[str], invoke: Invoke) -> None:
    result = invoke(*command, "--help")
    assert result.exit_code == 0
    assert "Usage" in result.output


def test_help_lists_the_commands_and_imports_nothing_heavy(shell: Shell) -> None:
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
        ["finetune", "run"],
        ["export", "run"],
        ["evaluate"],
        ["evaluate", "run", "--episodes", "0"],
        ["report"],
        ["serve"],
        ["serve", "run", "--port", "65536"],
        ["serve", "run", "--slots", "0"],
        ["diagnose"],
        ["diagnose", "run", "--batches", "1"],
        ["config", "nonsense"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2(arguments: list[str], invoke: Invoke) -> None:
    assert invoke(*arguments).exit_code == 2


def test_a_mistake_is_one_line_and_exit_status_1_and_quickly_told(tmp_path: Path, shell: Shell) -> None:
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
        (["convert", "nowhere", "x", "--to", "rlds"], ConfigError, "--to: unknown layout 'rlds'; valid: hdf5, lerobot"),
        (["evaluate", "nowhere"], CheckpointError, "nowhere: no such run directory, export or checkpoint"),
        (["evaluate", "nowhere", "--control", "none"], ConfigError, "unknown control 'none'; .*valid: wrong, absent"),
        (["evaluate", "nowhere", "--replay", "first"], ConfigError, "replay 'first': expected the number of an epis"),
        (["serve", "nowhere", "--port", "0"], CheckpointError, "nowhere: no such run directory, export or checkpoint"),
        (["diagnose", "nowhere"], CheckpointError, "nowhere: no such run directory, export or checkpoint"),
        (["diagnose", "nowhere", "--plot", "x.jpg"], OutputError, r"x\.jpg: expected a picture ending in \.png, "),
        (["collect", "metaworld-mt1", "--out", "x"], SimulatorError, "'metaworld-mt1'.*did you mean 'metaworld-mt10'"),
        (["collect", "metaworld-mt10", "--out", "x", "--tasks", "reach"], SimulatorError, "unknown task .*'reach'"),
    ],
)
def test_names_that_do_not_exist(
    arguments: list[str],
    error: type[MtilError],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    invoke: Invoke,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(*arguments)
    assert result.exit_code == 1
    with pytest.raises(error, match=message):
        raise result.exception or AssertionError("no error")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", presets())
def test_what_is_shown_is_a_configuration_to_train_with(name: str, tmp_path: Path, invoke: Invoke) -> None:
    shown = invoke("config", "show", name, "seed=3")
    assert shown.exit_code == 0
    assert load(ExperimentConfig, shown.output).seed == 3
    path = tmp_path / "mine.yaml"
    path.write_text(shown.output)
    assert invoke("config", "show", path).output == shown.output
    assert dump(load(ExperimentConfig, shown.output)) == shown.output


def test_the_schema_is_json_and_knows_every_key(invoke: Invoke) -> None:
    schema = json.loads(invoke("config", "schema").output)
    assert list(schema["properties"]) == list(yaml.safe_load(invoke("config", "show", "mt10-state").output))
    assert schema["additionalProperties"] is False


def test_an_existing_run_is_not_overwritten(tmp_path: Path, invoke: Invoke) -> None:
    (tmp_path / "run").mkdir()
    result = invoke("train", "mt10-state", "--out", tmp_path / "run")
    with pytest.raises(
        OutputError, match="run: exists already; continue it with --resume, or choose another with --out"
    ):
        raise result.exception or AssertionError("no error")
    assert not list((tmp_path / "run").iterdir())
