"""What the documentation tells to type: each command is one that the command line takes; short ones are run."""

import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import h5py
import numpy as np
import pytest
import typer.main
from hub_server import HubServer
from typer.testing import CliRunner

from mtil.cli import app
from mtil.config import load
from mtil.data.formats import open_tasks
from mtil.training.config import ExperimentConfig

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "data" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHORT = {"trainer.max_steps=2", "trainer.threads=1", "trainer.progress_bar=false", "data.batch_size=8"}


def commands(text: str) -> Iterator[str]:
    """The command lines of a page: indented by four, continued by a backslash, without remarks."""
    for line in re.sub(r" *\\\n\s+", " ", text).splitlines():
        if found := re.match(r"    (mtil [^#]*)", line):
            yield found[1].strip()


def arguments(line: str) -> list[str]:
    """What the shell hands over: words, without redirections and variables' dollar signs."""
    return shlex.split(re.sub(r"\s>\s*\S+$", "", line).replace("$", ""))[1:]


def parsed(words: list[str]) -> tuple[Any, list[str]]:
    """The command that some words name, and the words that are left for it."""
    command: Any = typer.main.get_command(app)
    while commands_below := getattr(command, "commands", None):
        name, *words = words
        assert name in commands_below, f"no such command: {name}"
        command = commands_below[name]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_is_one_that_there_is(page: Path) -> None:
    for line in commands(page.read_text()):
        command, words = parsed(arguments(line))
        command.make_context("mtil", words)  # raises for an option or argument that it does not take


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_place_is_one_that_there_is(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (page.parent / link).exists()] == []
    named = re.findall(r"`((?:mtil|tests|scripts)/[\w/.-]+)`", text)
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_configuration_is_valid(page: Path) -> None:
    for block in re.findall(r"```yaml\n(data:.*?|suite:.*?\ndata:.*?)```", page.read_text(), re.DOTALL):
        load(ExperimentConfig, block)


def run(line: str, *more: str) -> None:
    words = arguments(line)
    result = CliRunner().invoke(app, [*words, *more], catch_exceptions=False)
    assert result.exit_code == 0, f"{line}: {result.output}"
    if redirected := re.search(r">\s*(\S+)$", line):
        Path(redirected[1]).write_text(result.stdout)


def as_libero(source: Path, target: Path) -> None:
    """Files as LIBERO's recorder leaves them, with an image."""
    shutil.copytree(source, target)
    for path in target.iterdir():
        with h5py.File(path, "r+") as file:
            file["data"].attrs["bddl_file_name"] = f"{path.stem}.bddl"
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                rows = np.arange(8, dtype=np.uint8)[None, :, None, None]
                demo["obs/agentview_rgb"] = np.broadcast_to(rows, (len(demo["actions"]), 8, 8, 3))


def test_own_demonstrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands of the README's section, in their order, on demonstrations that take its names."""
    text = (ROOT / "README.md").read_text()
    (section,) = re.findall(r"\n## Train on your own demonstrations\n(.*?)\n## ", text, re.DOTALL)
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "my_demos")
    as_libero(ROOT / "data" / "sample", tmp_path / "libero_spatial")
    monkeypatch.chdir(tmp_path)
    lines = list(commands(section))
    assert len(lines) == 5
    for line in lines:
        run(line, *(SHORT if line.startswith("mtil train") else ()))
    assert [task.task.name for task in open_tasks(Path("aloha"))] == [
        task.task.name for task in open_tasks(Path("my_demos"))
    ]
    before, after = (open_tasks(Path(name))[0].read("demo_0") for name in ("libero_spatial", "upright"))
    np.testing.assert_array_equal(after.actions, before.actions[1:])
    np.testing.assert_array_equal(after.observations["proprio"], before.observations["proprio"][:-1])
    assert after.observations["agentview_rgb"][0, :, 0, 0].tolist() == [7, 6, 5, 4, 3, 2, 1, 0]


def test_the_page_on_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "data" / "sample", tmp_path / "data" / "sample")
    as_libero(ROOT / "data" / "sample", tmp_path / "libero_spatial")
    monkeypatch.chdir(tmp_path)
    for line in commands((ROOT / "data" / "README.md").read_text()):
        run(line)


NEW = "door-lock-v3"
TASKS = ("reach-v3", "drawer-close-v3")
QUICK = {
    "collect": ("--episodes-per-task", "1", "--workers", "1", "--noise", "0"),
    "train": (
        *SHORT,
        f"data.tasks=[{','.join(TASKS)}]",
        "data.validation_fraction=0.5",
        "collection.episodes_per_task=4",
        "trainer.compile=false",
        "trainer.validate_every=2",
    ),
    "finetune": (*SHORT, "data.validation_fraction=0", "trainer.validate_every=2"),
    "evaluate": ("--episodes", "1", "--workers", "1"),
    "diagnose": ("--batches", "2"),
}
"""What makes a command of the README a matter of seconds; what it says itself comes before."""


def film(path: Path) -> None:
    """Something to show a task with."""
    path.parent.mkdir(parents=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        for shade in range(0, 200, 20):
            picture = np.full((64, 64, 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def test_the_other_sections_of_the_readme(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their commands in order, in one folder, each on what those before it made, only smaller."""
    monkeypatch.setenv("MUJOCO_GL", "egl")
    text = (ROOT / "README.md").read_text().replace("$NEW", NEW)
    (own,) = re.findall(r"\n## Train on your own demonstrations\n(.*?)\n## ", text, re.DOTALL)
    for name in ("my_demos", "my_other_demos"):
        shutil.copytree(ROOT / "data" / "sample", name)
    for name in ("mt10-state", "mine"):
        run(f"mtil train mt10-state data.path=my_demos collection=null --out runs/{name}", *SHORT)
    run("mtil config show mt10-state > my.yaml")
    for task in TASKS:
        film(Path("my_videos", task, "one.mp4"))
    ran = []
    for line in commands(text.replace(own, "")):
        if line.startswith("mtil serve") or "accelerator=gpu" in line:  # which never ends; which not every machine has
            continue
        more = list(QUICK.get(line.split()[1], ()))
        if line.startswith("mtil evaluate") and "--tasks" not in line:
            more += ["--tasks", TASKS[0]]
        run(line, *more)
        ran.append(line)
    assert len(ran) >= 22
