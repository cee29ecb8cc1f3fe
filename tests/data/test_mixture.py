"""Several datasets in one training: what each has, lacks and calls otherwise; their shares and their statistics."""

from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from mtil.data.config import DataConfig
from mtil.data.datamodule import DemoDataModule
from mtil.data.hdf5.writing import write_task
from mtil.data.sampling import Draw
from mtil.data.store import DemoStore
from mtil.errors import ConfigError, DatasetError, MtilError
from mtil.types import Episode, Task

KEYS = {"proprio": "state", "camera": "top", "objects": None}


def config_of(*datasets: dict[str, Any], **config: Any) -> DataConfig:
    return DataConfig.model_validate({"mixture": datasets, "validation_fraction": 0, "batch_size": 12} | config)


def module(config: DataConfig) -> DemoDataModule:
    return DemoDataModule(config, history=2, chunk=2, kinds={"one_hot": 1.0}, seed=0)


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    """Another robot's dataset: of two tasks, with other keys, in other units, and with a camera at the wrist."""
    rng = np.random.default_rng(1)
    for name in ("pour", "stir"):
        episodes = [
            Episode(
                observations={
                    "state": rng.normal(500, 100, (steps, 4)).astype(np.float32),
                    "top": rng.integers(0, 256, (steps, 2, 2, 3), np.uint8),
                    "wrist": rng.integers(1, 256, (steps, 2, 2, 3), np.uint8),
                },
                actions=rng.uniform(-30, 10, (steps, 6)).astype(np.float32),
                rewards=np.zeros(steps, np.float32),
                dones=np.arange(steps) == steps - 1,
            )
            for steps in (4, 7, 5)
        ]
        write_task(
            tmp_path / "arm" / f"{name}.hdf5",
            Task(name, (f"{name} it",)),
            episodes,
            env_args={"env_name": name, "type": 2, "env_kwargs": {}},
        )
    return tmp_path / "arm"


def test_each_tasks_episodes_are_those_of_its_own_dataset(three_tasks: Path, arm: Path) -> None:
    """Under the common keys; what it lacks is no dimension of a state, and a black image."""
    keys = ("proprio", "objects", "camera", "wrist")
    data = config_of({"path": three_tasks, "keys": {"wrist": None}}, {"path": arm, "keys": KEYS}, observations=keys)
    store = DemoStore.of(data)
    assert store.spec.task_names == ["lift", "push", "turn", "pour", "stir"]
    assert store.spec.widths == {
        "proprio": (3, 5, 2, 4, 4),
        "objects": (2, 2, 2, 0, 0),
        "actions": (2, 4, 3, 6, 6),
    }
    first, second = DemoStore.open(three_tasks, keys=["camera", "proprio"]), DemoStore.open(arm, keys=["top", "state"])
    rows, own = len(first.features["proprio"]), second.features["state"]
    assert torch.equal(store.features["proprio"][:rows], first.features["proprio"])
    assert torch.equal(store.features["proprio"][rows:, :4], own)
    every = np.arange(rows + len(own))[:, None]
    seen = store.images["camera"].take(every)[:, 0]
    assert torch.equal(seen[:rows], first.images["camera"].take(every[:rows])[:, 0])
    assert torch.equal(seen[rows:], second.images["top"].take(every[: len(own)])[:, 0])
    wrist = store.images["wrist"].take(every)[:, 0]
    assert not wrist[:rows].any()
    assert wrist[rows:].all()


def test_what_is_particular_to_each_is_kept(three_tasks: Path, arm: Path) -> None:
    store = DemoStore.of(
        config_of(
            {"path": three_tasks}, {"path": arm, "name": "the arm", "keys": KEYS}, observations=["proprio", "camera"]
        )
    )
    assert [each.name for each in store.spec.embodiments] == ["three_tasks", "the arm"]
    assert [each.tasks for each in store.spec.embodiments] == [("lift", "push", "turn"), ("pour", "stir")]
    assert store.spec.keys("stir") == {"proprio": "state", "camera": "top"}
    assert store.spec.keys("push") == {"proprio": "proprio", "camera": "camera"}
    assert [store.spec.embodiment(task) for task in store.spec.task_names] == [0, 0, 0, 1, 1]
    with pytest.raises(DatasetError, match="unknown task 'fold'"):
        store.spec.embodiment("fold")


def test_states_that_nobody_asked_for_by_name_need_not_be_shared(three_tasks: Path, arm: Path) -> None:
    spec = DemoStore.of(config_of({"path": three_tasks}, {"path": arm})).spec
    assert {feature.key: spec.widths[feature.key] for feature in spec.observations} == {
        "objects": (2, 2, 2, 0, 0),
        "proprio": (3, 5, 2, 0, 0),
        "state": (0, 0, 0, 4, 4),
    }


def test_tasks_of_a_dataset_have_the_same_observations(three_tasks: Path, arm: Path) -> None:
    """Whichever comes first: which its simulator shows is told of the dataset."""
    for odd in ("lift", "turn"):
        mixture = config_of({"path": three_tasks}, {"path": arm})
        with h5py.File(three_tasks / f"{odd}.hdf5", "r+") as file:
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                demo.move("obs/objects", f"obs/{odd}")
        with pytest.raises(
            DatasetError, match=r"hdf5: \w+: expected the observations that 'lift' of dataset 'three_tasks'"
        ):
            DemoStore.of(mixture)
        with h5py.File(three_tasks / f"{odd}.hdf5", "r+") as file:
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                demo.move(f"obs/{odd}", "obs/objects")


def test_each_has_statistics_of_its_own(three_tasks: Path, arm: Path) -> None:
    """Those that it has alone, of the same episodes; whatever the order."""
    alone = module(DataConfig(path=arm, validation_fraction=0)).statistics
    for order in (1, -1):
        both = [{"path": three_tasks}, {"path": arm, "keys": {"proprio": "state"}}][::order]
        found = module(config_of(*both)).own_statistics
        assert found is not None
        row = 1 if order == 1 else 0
        for key, own in (("proprio", "state"), ("actions", "actions")):
            width = len(alone[own].mean)
            for name in ("mean", "std", "low", "high", "q01", "q99"):
                values = getattr(found[key], name)[row]
                assert torch.equal(values[:width], getattr(alone[own], name))
                assert not values[width:].any()


def test_shares_are_exact(three_tasks: Path, arm: Path) -> None:
    """One part in three of each batch is the arm's, whatever the number of tasks, windows and batches."""
    data = module(config_of({"path": three_tasks, "weight": 0.5}, {"path": arm, "weight": 0.25}))
    batches = [batch.task.bincount(minlength=5) for batch in islice(iter(data.train_dataloader()), 30)]
    for counts in batches:
        assert (counts[:3].sum(), counts[3:].sum()) == (8, 4)
        assert counts[3:].tolist() == [2, 2]
    assert torch.stack(batches).sum(0).tolist() == [80, 80, 80, 60, 60]
    assert data.task_weights == pytest.approx([2 / 9, 2 / 9, 2 / 9, 1 / 6, 1 / 6])


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"alpha": 1}, None),
        ({"kind": "uniform"}, None),
        ({"weights": {"lift": 1, "push": 2, "turn": 3, "pour": 1, "stir": 3}}, [1 / 12, 2 / 12, 3 / 12, 1 / 8, 3 / 8]),
    ],
)
def test_within_its_share_a_dataset_is_sampled_as_it_would_be_alone(
    three_tasks: Path, arm: Path, sampling: dict[str, Any], expected: list[float] | None
) -> None:
    data = module(config_of({"path": three_tasks}, {"path": arm}, sampling=sampling))
    windows = data.train.task.bincount(minlength=5).double()
    if expected is None:
        expected = [*(windows[:3] / windows[:3].sum() / 2).tolist(), *(windows[3:] / windows[3:].sum() / 2).tolist()]
    weights = torch.tensor(data.task_weights).double()
    assert (weights / weights.sum()).tolist() == pytest.approx(expected)
    steps = 120
    counts = sum(batch.task.bincount(minlength=5) for batch in islice(iter(data.train_dataloader()), steps))
    assert isinstance(counts, torch.Tensor)
    assert counts[:3].sum() == counts[3:].sum() == 6 * steps
    slack = 2 if sampling.get("kind") != "uniform" else 0.1 * steps
    assert (counts - 12 * steps * torch.tensor(expected)).abs().max() <= slack


def test_examples_tell_their_dimensions_and_nothing_leaks_from_what_a_dataset_lacks(
    three_tasks: Path, arm: Path
) -> None:
    data = module(config_of({"path": three_tasks}, {"path": arm}, observations=None))
    batch = data.train.__getitems__(Draw.part(0, torch.arange(len(data.train))))
    of_arm = batch.task >= 3
    assert batch.observation_mask["state"][of_arm].all()
    assert not batch.observation_mask["state"][~of_arm].any()
    assert not batch.observations["state"][~of_arm].any()
    assert batch.action_mask[of_arm].any(1).all()


def test_images_that_nobody_asked_for_need_not_be_alike(three_tasks: Path, arm: Path) -> None:
    """Whether by name, or because there are none among the states."""
    for file in arm.glob("*.hdf5"):
        with h5py.File(file, "r+") as demos:
            for demo in demos["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                steps = len(demo["actions"])
                demo["obs/camera"] = np.zeros((steps, 3, 4, 3), np.uint8)
    for observations in (None, ["proprio"]):
        keys = {} if observations is None else {"proprio": "state"}
        spec = DemoStore.of(
            config_of({"path": three_tasks}, {"path": arm, "keys": keys}, observations=observations)
        ).spec
        assert "camera" not in [feature.key for feature in spec.observations]
    with pytest.raises(DatasetError, match=r"camera: expected image of shape \(2, 2, 3\).*data\.image_size scale all"):
        DemoStore.of(config_of({"path": three_tasks}, {"path": arm}, observations=["camera"]))


def test_tasks_of_one_name_are_told_apart_by_a_prefix(three_tasks: Path) -> None:
    alike = {"path": three_tasks, "name": "again"}
    with pytest.raises(DatasetError, match=r"found 'lift' in both; a prefix in data\.mixture would tell them apart"):
        DemoStore.of(config_of({"path": three_tasks}, alike))
    store = DemoStore.of(config_of({"path": three_tasks, "tasks": ["lift"]}, {**alike, "prefix": "new-"}))
    assert store.spec.task_names == ["lift", "new-lift", "new-push", "new-turn"]
    assert store.spec.tasks[1].instructions == store.spec.tasks[0].instructions


def test_one_dataset_may_stand_alone(three_tasks: Path) -> None:
    """As a mixture of one it is what it is by its path."""
    alone = module(DataConfig(path=three_tasks, validation_fraction=0, batch_size=12))
    mixed = module(config_of({"path": three_tasks}))
    assert [each.name for each in mixed.store.spec.embodiments] == ["three_tasks"]
    pairs = zip(islice(iter(alone.train_dataloader()), 5), islice(iter(mixed.train_dataloader()), 5), strict=True)
    for one, other in pairs:
        assert torch.equal(one.task, other.task)
        assert torch.equal(one.actions, other.actions)


@pytest.mark.parametrize(
    ("first", "second", "config", "error", "message"),
    [
        ({}, {"name": "three_tasks"}, {}, ConfigError, "found 'three_tasks' twice; give them a name"),
        ({}, {"tasks": ["fold"]}, {}, DatasetError, r"data\.mixture\.1\.tasks: unknown task 'fold'; valid: pour, stir"),
        (
            {},
            {"keys": {"proprio": "sate"}},
            {},
            DatasetError,
            r"pour\.hdf5: data\.mixture\.1\.keys: unknown observation 'sate'; did you mean 'state'",
        ),
        (
            {},
            {},
            {"observations": ["proprio"]},
            DatasetError,
            r"pour\.hdf5: data\.observations: unknown observation 'proprio'; valid: state, top, wrist; "
            r"data\.mixture\.1\.keys may tell what it is called there, or null",
        ),
        (
            {},
            {"keys": {"camera": None}},
            {"clips": {"images": "camera", "shift": 0}},
            DatasetError,
            r"pour\.hdf5: data\.clips\.images: unknown observation 'camera'; .*what it is called there$",
        ),
        (
            {},
            {"keys": {"objects": "state"}},
            {"goals": {"space": ["objects"]}},
            ConfigError,
            r"data\.mixture\.1\.keys: expected goals to be called alike everywhere, found 'state'",
        ),
        (
            {},
            {"keys": {"proprio": "top"}},
            {},
            DatasetError,
            r"pour\.hdf5: proprio: expected state of shape \(3,\) as in .*lift\.hdf5, found image of shape \(2, 2, 3\)",
        ),
        (
            {},
            {"keys": {"propio": None}},
            {},
            ConfigError,
            r"data\.mixture\.1\.keys: unknown observation 'propio'; did you mean 'proprio'",
        ),
    ],
)
def test_mixtures_that_cannot_be(
    three_tasks: Path,
    arm: Path,
    first: dict[str, Any],
    second: dict[str, Any],
    config: dict[str, Any],
    error: type[MtilError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        DemoStore.of(config_of({"path": three_tasks, **first}, {"path": arm, **second}, **config))
