"""The same demonstrations in every format, through the command line: the same training, to the bit."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from benchmarks.formats import as_libero
from typer.testing import CliRunner

from mtil.cli import app
from mtil.data.hdf5.writing import write_task
from mtil.types import Episode, Task

CONFIG = {
    "data": {"batch_size": 12, "observations": ["proprio", "top_image"], "validation_mask": "valid"},
    "policy": {"task_encoder": {"kind": "one_hot"}, "image_encoder": {"channels": [16], "keypoints": 4}, "chunk": 2},
    "trainer": {"max_steps": 6, "threads": 1, "progress_bar": False, "validate_every": 3, "log_every": 1},
}


def mtil(*arguments: str | Path | int) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def episode(steps: int, seed: int) -> Episode:
    rng = np.random.default_rng(seed)
    return Episode(
        observations={
            "proprio": rng.normal(size=(steps, 3)).astype(np.float32),
            "top_image": rng.integers(0, 256, (steps, 16, 16, 3), np.uint8),
        },
        actions=rng.uniform(-1, 1, (steps, 2)).astype(np.float32),
        rewards=np.zeros(steps, np.float32),
        dones=np.arange(steps) == steps - 1,
    )


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demonstrations of two tasks as robomimic's files, and the configuration of a training."""
    folder = tmp_path_factory.mktemp("formats")
    for number, name in enumerate(("lift", "push")):
        episodes = [episode(steps, 10 * number + steps) for steps in (4, 5, 6)]
        masks = {"valid": [2]}
        task = Task(name, (f"{name} it", f"please {name} it"))
        write_task(folder / "hdf5" / f"{name}.hdf5", task, episodes, env_args={"env_name": name}, masks=masks)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return folder


def train(workshop: Path, data: Path, *overrides: str) -> str:
    """The metrics of a training on a dataset."""
    run = workshop / f"run-{data.name}{len(overrides)}"
    mtil("train", workshop / "config.yaml", f"data.path={data}", *overrides, "--out", run)
    return (run / "metrics.csv").read_text()


def test_the_same_demonstrations_train_to_the_same_loss(workshop: Path) -> None:
    expected = train(workshop, workshop / "hdf5")
    assert len(expected.splitlines()) > 6
    mtil("convert", workshop / "hdf5", workshop / "lerobot", "--to", "lerobot")
    mtil("convert", workshop / "lerobot", workshop / "back", "--to", "hdf5")
    assert train(workshop, workshop / "lerobot") == expected
    assert train(workshop, workshop / "lerobot", "data.decoding=on_the_fly") == expected
    assert train(workshop, workshop / "back") == expected
    libero = as_libero(workshop / "hdf5", workshop / "libero")
    assert train(workshop, libero) == expected
    assert train(workshop, libero, "data.decoding=on_the_fly") == expected


def test_films_train_as_well_as_what_they_are_close_to(workshop: Path) -> None:
    mtil("convert", workshop / "hdf5", workshop / "films", "--to", "lerobot", "--film")
    once = train(workshop, workshop / "films")
    assert train(workshop, workshop / "films", "data.decoding=on_the_fly") == once
