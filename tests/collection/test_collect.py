"""The same bytes for any number of workers, and after any end."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mtil.collection.collect import CollectionReport, Progress, collect
from mtil.collection.config import CameraConfig
from mtil.collection.settings import CollectionSettings, TaskReport
from mtil.data.hdf5.task_file import open_task
from mtil.errors import OutputError, SimulatorError
from mtil.ranks import ALONE, Rank
from mtil.types import CameraView

SUITE = "metaworld-mt10"
TASKS = ("reach-v3", "drawer-close-v3", "window-open-v3")

VIEWS = (CameraView("corner", 12, (0.2, 0.2, 0.8, 0.8)), CameraView("topview", 16))

SCRIPT = """
import sys
from pathlib import Path
from mtil.collection.collect import collect
from mtil.collection.settings import CollectionSettings
from mtil.errors import MtilError
from mtil.ranks import this_rank
if __name__ == "__main__":
    try:
        settings = CollectionSettings(suite="metaworld-mt10", seed=0, noise=0.1, episodes_per_task=3)
        collect(settings, Path(sys.argv[1]), tasks=sys.argv[2:], workers=2, rank=this_rank(),
                progress=lambda report: print(report, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    except MtilError as error:
        sys.exit(f"error: {error}")
"""


def run(
    out: Path,
    *,
    tasks: tuple[str, ...] = TASKS,
    workers: int = 2,
    rank: Rank = ALONE,
    progress: Progress | None = None,
    **asked: Any,
) -> CollectionReport:
    settings = CollectionSettings(suite=SUITE, **{"seed": 0, "noise": 0.1, "episodes_per_task": 3} | asked)
    return collect(settings, out, tasks=tasks, workers=workers, rank=rank, progress=progress)


@pytest.fixture(scope="module")
def collected(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("collected")
    run(out, workers=1)
    return out


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """A program that collects what `collected` holds."""
    path = tmp_path / "collecting.py"
    path.write_text(SCRIPT)
    return path


def start(script: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(script), str(out), *TASKS]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if not path.name.startswith(".")}


def group_is_gone(group: int, patience: float = 10.0) -> bool:
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_any_number_of_workers_writes_the_same_bytes(collected: Path, tmp_path: Path) -> None:
    reports: list[TaskReport] = []
    report = run(tmp_path, workers=3, progress=reports.append)
    assert contents(tmp_path) == contents(collected)
    assert [each.task for each in report.tasks] == list(TASKS)
    assert len(reports) == sum(each.attempts for each in report.tasks)
    assert all(len(open_task(path).demos) == 3 for path in collected.iterdir())


def test_ranks_share_the_tasks_and_write_the_same_bytes(
    collected: Path, script: Path, launch: Callable[..., Any], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    found = launch([[script, out, *TASKS]] * 2)
    assert [(rank.returncode, rank.stderr) for rank in found] == 2 * [(0, "")]
    assert contents(out) == contents(collected)
    for rank, own in zip(found, (TASKS[::2], TASKS[1::2]), strict=True):
        told = [next(task for task in TASKS if task in line) for line in rank.stdout.splitlines()]
        assert all(told.count(task) == (1 if task not in own else 3) for task in TASKS)


def test_a_rank_without_tasks_waits_for_the_others_files(collected: Path, tmp_path: Path) -> None:
    name = "reach-v3.hdf5"
    with ThreadPoolExecutor() as pool:
        report = pool.submit(run, tmp_path, tasks=("reach-v3",), rank=Rank(1, 2))
        assert not report.done()
        shutil.copy(collected / name, tmp_path / "partial")
        (tmp_path / "partial").rename(tmp_path / name)
        assert report.result() == run(collected, tasks=("reach-v3",))


def test_what_is_there_is_kept_and_what_is_not_is_added(collected: Path, tmp_path: Path) -> None:
    (tmp_path / "reach-v3.hdf5").write_bytes((collected / "reach-v3.hdf5").read_bytes())
    before = (tmp_path / "reach-v3.hdf5").stat().st_mtime_ns
    report = run(tmp_path)
    assert (tmp_path / "reach-v3.hdf5").stat().st_mtime_ns == before
    assert contents(tmp_path) == contents(collected)
    assert report == run(tmp_path)


def test_a_file_collected_otherwise_stops_everything_and_stays(collected: Path, tmp_path: Path) -> None:
    (tmp_path / "reach-v3.hdf5").write_bytes((collected / "reach-v3.hdf5").read_bytes())
    with pytest.raises(OutputError, match=r"reach-v3.hdf5: expected demonstrations with .*seed 7.*, found .*seed 0"):
        run(tmp_path, seed=7)
    assert contents(tmp_path) == {"reach-v3.hdf5": (collected / "reach-v3.hdf5").read_bytes()}


def test_killed_at_once_it_leaves_whole_files_and_finishes_to_the_same_bytes(
    collected: Path, script: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(script, out)
    deadline = time.monotonic() + 60
    while not (out / "reach-v3.hdf5").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert group_is_gone(process.pid)
    assert all(len(open_task(out / name).demos) == 3 for name in contents(out))
    run(out)
    assert contents(out) == contents(collected)
    assert len(list(out.iterdir())) == len(TASKS)


def test_an_interrupt_ends_it_quietly(script: Path, tmp_path: Path) -> None:
    process = start(script, tmp_path / "out")
    assert process.stdout is not None
    process.stdout.readline()  # the first attempt is done
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not errors
    assert group_is_gone(process.pid)


def test_a_full_disk_is_answered_in_one_line(script: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    done = subprocess.run(
        [sys.executable, str(script), str(out), "reach-v3"],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )
    assert done.returncode == 1
    assert done.stderr == f"error: {out / 'reach-v3.hdf5'}: cannot be written: File too large\n"
    assert not list(out.iterdir())


def test_an_expert_that_nearly_always_fails_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="peg-insert-side-v3: the expert succeeded in 0 of 10 attempts"):
        run(tmp_path, tasks=("peg-insert-side-v3",), episodes_per_task=1, noise=100.0)


def test_an_unknown_task_is_answered_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="unknown task of metaworld-mt10 'reach'"):
        run(tmp_path / "out", tasks=("drawer-close-v3", "reach"))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_answered(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/out: cannot be made a folder: Not a directory"):
        run(tmp_path / "file" / "out")


def test_attempts_that_take_too_long_are_no_demonstrations(tmp_path: Path) -> None:
    free = run(tmp_path / "free", tasks=("drawer-close-v3",)).tasks[0]
    longest = max(open_task(tmp_path / "free" / "drawer-close-v3.hdf5").lengths)
    strict = run(tmp_path / "strict", tasks=("drawer-close-v3",), max_steps=longest - 1).tasks[0]
    assert max(open_task(tmp_path / "strict" / "drawer-close-v3.hdf5").lengths) < longest
    assert strict.failures > free.failures


def test_a_limit_for_a_task_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match="max_steps: unknown task of metaworld-mt10 'raech-v3'; did you mean"):
        run(tmp_path, tasks=("reach-v3",), max_steps={"raech-v3": 40})


def test_images_are_the_same_bytes_for_any_number_of_workers_and_tell_their_views(tmp_path: Path) -> None:
    cameras = {"corner": CameraConfig(size=12, crop=(0.2, 0.2, 0.8, 0.8)), "topview": CameraConfig(size=16)}
    asked: dict[str, Any] = {"tasks": ("drawer-close-v3",), "episodes_per_task": 2, "cameras": cameras}
    for workers in (1, 2):
        run(tmp_path / str(workers), workers=workers, **asked)
    assert contents(tmp_path / "1") == contents(tmp_path / "2")
    for path in (tmp_path / "1").iterdir():
        file = open_task(path)
        found = {view.key: file.observations[view.key].camera for view in VIEWS}
        assert found == {view.key: view for view in VIEWS}
        assert len({image.tobytes() for image in file.read("demo_0").observations["corner_image"]}) > 5
    before = contents(tmp_path / "1")
    assert run(tmp_path / "1", **asked).tasks[0].demos == 2
    assert contents(tmp_path / "1") == before
    asked["cameras"] = {}
    with pytest.raises(OutputError, match=r"expected demonstrations with .*, found .*cameras corner: size: 12"):
        run(tmp_path / "1", **asked)


def test_a_camera_that_does_not_exist_is_answered(tmp_path: Path) -> None:
    with pytest.raises(SimulatorError, match=r"unknown camera 'cornr'; did you mean 'corner.*valid: topview, corner"):
        run(tmp_path, tasks=("reach-v3",), cameras={"cornr": CameraConfig(size=12)})
