"""Every command of `docs/simulators.md`, in its order, on the files that it shows; and demonstrations of one's own."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch._dynamo  # noqa: F401 (and with it Triton: after Mesa has drawn something, its LLVM brings the process down)
import yaml
from typer.testing import CliRunner

from mtil.cli import app
from mtil.data.hdf5.writing import write_task
from mtil.errors import SimulatorError
from mtil.sim.base import load, placement
from mtil.types import Episode

ROOT = Path(__file__).parents[2]
GYMNASIUM, PACKAGE = (ROOT / "docs" / "simulators.md").read_text().split("\n## ")[1:]
MAIN = "from mtil.cli import main; main()"


def shown(section: str, name: str) -> str:
    """The file that a section shows last after its name."""
    (text,) = re.findall(rf"`{re.escape(name)}`[^`]*```\w+\n(.*?)```", section, re.DOTALL)
    return text


def commands(section: str) -> list[list[str]]:
    return [shlex.split(line) for line in section.splitlines() if line.startswith(("    mtil ", "    pip "))]


def mtil(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def results(run: Path) -> list[dict[str, Any]]:
    """Of a run's evaluations, in their order."""
    paths = sorted((run / "evaluation").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [json.loads(path.read_text()) for path in paths]


def test_environments_registered_with_gymnasium(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("tasks.yaml", "training.yaml", "controllers.py"):
        (tmp_path / name).write_text(shown(GYMNASIUM, name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for _, *arguments in commands(GYMNASIUM):
        mtil(*arguments)
    both, alone = results(tmp_path / "runs" / "two-arms")
    assert {task["task"]: task["rate"] > 0.4 for task in both["tasks"]} == {"lift": True, "reach": True}
    assert both["protocol"]["suite"] == "tasks.yaml"
    assert both["protocol"]["suite_digest"] == load("tasks.yaml").digest
    assert "reach: the environment's 'reward_dist' at least -0.02 at any step" in both["protocol"]["success"]
    assert alone["tasks"] == both["tasks"][1:]
    assert [film.name for film in (tmp_path / "films").iterdir()] == ["reach.mp4"]
    (tmp_path / "tasks.yaml").rename(tmp_path / "moved.yaml")
    with pytest.raises(SimulatorError, match=r"tasks\.yaml: no such file .*name it anew \(--suite"):
        mtil("evaluate", "runs/two-arms")
    mtil("evaluate", "runs/two-arms", "--suite", "moved.yaml", "--episodes", "1")


def test_the_file_in_the_readme_describes_a_suite(tmp_path: Path) -> None:
    (text,) = re.findall(r"here `tasks\.yaml`:\n\n(    horizon:.*?)\n\n", (ROOT / "README.md").read_text(), re.DOTALL)
    (tmp_path / "tasks.yaml").write_text(text)
    env = load(str(tmp_path / "tasks.yaml")).make("slide")
    assert env.reset(seed=0)[0]["observation"].shape == (25,)


def test_what_a_file_may_say_is_read() -> None:
    (observations,) = re.findall(r"```yaml\n(observations:.*?)```", GYMNASIUM, re.DOTALL)
    assert set(yaml.safe_load(observations)["observations"]) == {"proprio", "hand", "all"}


def test_demonstrations_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Recorded by whatever means, here by a controller, and written as `data/README.md` says."""
    (tmp_path / "tasks.yaml").write_text(shown(GYMNASIUM, "tasks.yaml"))
    monkeypatch.chdir(tmp_path)
    suite = load("tasks.yaml")
    task, env, rng = suite.tasks()[0], suite.make("lift"), np.random.default_rng(0)
    Path("demos").mkdir()
    episodes = [_recorded(env, placement("collection", 0, "lift", index), rng) for index in range(20)]
    write_task(Path("demos/lift.hdf5"), task, episodes, env_args=suite.env_args("lift"))
    settings = ["suite=tasks.yaml", "data.path=demos", "collection=null", "policy.task_encoder.kind=one_hot"]
    settings += [
        "policy.trunk={width: 64, depth: 1}",
        "data.batch_size=64",
        "optimizer.ema_decay=0.9",
        "trainer.threads=1",
        "trainer.progress_bar=false",
    ]
    for run, steps in (("untrained", 1), ("trained", 200)):
        mtil("train", "mt10-state", *settings, f"trainer.max_steps={steps}", "--out", run)
        mtil("evaluate", run, "--episodes", 10, "--workers", 1)
    rates = [results(Path(run))[0]["mean"]["rate"] for run in ("untrained", "trained")]
    assert rates[0] <= 0.2
    assert rates[1] >= 0.8


def _recorded(env: Any, start: int, rng: np.random.Generator) -> Episode:
    observation, _ = env.reset(seed=start)
    seen, actions = [], []
    for _ in range(60):
        cos, sin, speed = observation["observation"]
        seen.append(observation["observation"])
        actions.append(np.clip([-8 * np.arctan2(sin, cos) - 2 * speed], -2, 2).astype(np.float32))
        observation, *_ = env.step(actions[-1] + rng.normal(0, 0.3, 1))
    return Episode(
        observations={"observation": np.stack(seen)},
        actions=np.stack(actions),
        rewards=np.zeros(60, np.float32),
        dones=np.arange(60) == 59,
    )


@pytest.fixture
def shell(third_party: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `mtil` where the package is installed."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        paths = os.pathsep.join([str(third_party), *sys.path])
        command = [sys.executable, "-W", "error", "-c", MAIN, *arguments]
        env = os.environ | {"PYTHONPATH": paths, "COLUMNS": "100"}
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)

    return run


def test_a_package(shell: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    (install, *rest) = commands(PACKAGE)
    assert install == ["pip", "install", "./tests/sim/third_party"]  # as the fixture did
    for _, *arguments in rest:
        done = shell(*arguments)
        assert done.returncode == 0, done.stderr
    (result,) = results(tmp_path / "runs" / "spots")
    assert [task["task"] for task in result["tasks"]] == ["red", "blue"]
    assert result["mean"]["rate"] > 0.8
    assert result["protocol"]["suite"] == "spots"
    mistaken = shell("evaluate", "runs/spots", "--suite", "spot")
    assert mistaken.returncode == 1
    assert "unknown simulator 'spot'; did you mean 'spots'? valid: fetch, metaworld-ml45" in mistaken.stderr


def test_the_package_is_the_one_that_is_shown() -> None:
    (lines,) = re.findall(r"```toml\n(.*?)```", PACKAGE, re.DOTALL)
    assert lines in (Path(__file__).parent / "third_party" / "pyproject.toml").read_text()
