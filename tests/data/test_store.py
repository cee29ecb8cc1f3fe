import pickle
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from mtil.data.hdf5.writing import write_task
from mtil.data.store import DemoStore
from mtil.errors import DatasetError
from mtil.types import Episode, Task


def on_disk(folder: Path, task: str, demo: int, key: str) -> np.ndarray:
    with h5py.File(folder / f"{task}.hdf5") as file:
        return np.asarray(file[f"data/demo_{demo}/{key}"])


def test_tasks_of_different_size_are_padded_with_zeros(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks, keys=["proprio"])
    assert store.spec.widths == {"proprio": (3, 5, 2), "actions": (2, 4, 3)}
    assert store.spec.observations[0].shape == (5,)
    assert store.spec.action.shape == (4,)
    assert store.valid("actions").tolist() == [[1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]]
    rows = [slice(start, start + length) for start, length in zip(store.start, store.length, strict=True)]
    for episode, (position, row) in enumerate(zip(store.task.tolist(), rows, strict=True)):
        for key, name in {"proprio": "obs/proprio", "actions": "actions"}.items():
            expected = on_disk(three_tasks, store.spec.task_names[position], episode % 10, name)
            width = expected.shape[1]
            found = store.features[key][row].numpy()
            np.testing.assert_array_equal(found[:, :width], expected)
            assert not found[:, width:].any()
            assert store.valid(key)[position].sum() == width


def test_episodes_lie_side_by_side(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks)
    assert store.task.tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert store.start.tolist() == [0, *store.length.cumsum(0)[:-1].tolist()]
    assert all(len(values) == store.length.sum() for values in store.features.values())


def test_tasks_come_by_file_name_or_in_the_order_asked_for(three_tasks: Path) -> None:
    assert DemoStore.open(three_tasks).spec.task_names == ["lift", "push", "turn"]
    chosen = DemoStore.open(three_tasks, keys=["proprio"], tasks=["turn", "lift"])
    assert chosen.spec.task_names == ["turn", "lift"]
    assert chosen.spec.widths == {"proprio": (2, 3), "actions": (3, 2)}
    first = on_disk(three_tasks, "turn", 0, "actions")
    np.testing.assert_array_equal(chosen.features["actions"][: len(first), :3], first)


def test_all_states_are_read_unless_keys_are_asked_for_and_no_image(three_tasks: Path) -> None:
    assert [feature.key for feature in DemoStore.open(three_tasks).spec.observations] == ["objects", "proprio"]
    for keys in (["proprio", "objects"], ["objects"]):
        store = DemoStore.open(three_tasks, keys=keys)
        assert [feature.key for feature in store.spec.observations] == keys
        assert list(store.features) == [*keys, "actions"]


def test_images_are_asked_for_by_name_and_never_lie_among_the_features(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks, keys=["camera", "proprio"])
    assert [(f.key, f.kind, f.shape, f.dtype) for f in store.spec.observations] == [
        ("camera", "image", (2, 2, 3), "uint8"),
        ("proprio", "state", (5,), "float32"),
    ]
    assert list(store.features) == ["proprio", "actions"]
    assert store.spec.widths.keys() == store.statistics(torch.arange(3)).keys() == {"proprio", "actions"}
    assert len(store.images["camera"]) == len(store.features["actions"])


def test_states_to_be_told_are_no_observations(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks, keys=["camera"], targets=["proprio"])
    assert [feature.key for feature in store.spec.observations] == ["camera"]
    assert [(target.key, target.shape) for target in store.spec.targets] == [("proprio", (5,))]
    assert store.spec.widths["proprio"] == (3, 5, 2)
    assert list(store.features) == ["proprio", "actions"]
    for target, problem in {"camera": "unknown state 'camera'", "propio": "did you mean 'proprio'"}.items():
        with pytest.raises(DatasetError, match=f"lift.hdf5: data.targets: .*{problem}"):
            DemoStore.open(three_tasks, targets=[target])


def test_rows_of_images_are_rows_of_the_store(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks, keys=["camera", "proprio"], tasks=["turn", "lift"])
    for episode, (start, length) in enumerate(zip(store.start.tolist(), store.length.tolist(), strict=True)):
        rows = np.arange(start, start + length)[:, None]
        task = store.spec.task_names[int(store.task[episode])]
        expected = on_disk(three_tasks, task, episode % 10, "obs/camera")
        np.testing.assert_array_equal(store.images["camera"].take(rows)[:, 0], expected)


def test_opening_reads_no_image(three_tasks: Path) -> None:
    """What the store holds in memory does not grow with its images, which may be many times more."""
    store = DemoStore.open(three_tasks, keys=["camera", "proprio"])
    wide = pickle.dumps(store)
    for task in store.spec.task_names:
        with h5py.File(three_tasks / f"{task}.hdf5", "r+") as file:
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                steps = len(demo["actions"])
                del demo["obs/camera"]
                demo["obs/camera"] = np.zeros((steps, 64, 64, 3), np.uint8)
    assert len(pickle.dumps(DemoStore.open(three_tasks, keys=["camera", "proprio"]))) < len(wide) + 1000


def test_a_single_file_is_a_dataset_of_one_task(three_tasks: Path) -> None:
    assert DemoStore.open(three_tasks / "push.hdf5").spec.task_names == ["push"]


def test_float64_files_are_read(three_tasks: Path) -> None:
    expected = on_disk(three_tasks, "lift", 0, "actions").astype(np.float64) / 3
    with h5py.File(three_tasks / "lift.hdf5", "r+") as file:
        del file["data/demo_0/actions"]
        file["data/demo_0/actions"] = expected
    store = DemoStore.open(three_tasks)
    assert store.features["actions"].dtype == torch.float32
    np.testing.assert_array_equal(store.features["actions"][: len(expected), :2], expected.astype(np.float32))


def test_filter_keys_are_per_episode(three_tasks: Path) -> None:
    with h5py.File(three_tasks / "turn.hdf5", "r+") as file:
        del file["mask/valid"]
    store = DemoStore.open(three_tasks)
    assert set(store.filters) == {"all", "train", "valid"}
    assert store.filters["all"].all()
    assert store.filters["train"].nonzero().squeeze(1).tolist() == [1, 2, 3, 11, 12, 13, 21, 22, 23]
    assert store.filters["valid"].nonzero().squeeze(1).tolist() == [0, 9, 10, 19]


def test_statistics_are_of_the_given_episodes_and_the_tasks_dimensions(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks)
    chosen = [2, 5, 11, 29]
    found = store.statistics(torch.tensor(chosen))["actions"]
    demos = [on_disk(three_tasks, ("lift", "push", "turn")[i // 10], i % 10, "actions") for i in chosen]
    for d in range(4):
        column = np.concatenate([demo[:, d] for demo in demos if demo.shape[1] > d]).astype(np.float64)
        np.testing.assert_allclose(found.mean[d], column.mean(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(found.std[d], column.std(), rtol=1e-5)
        assert found.low[d] == np.float32(column.min())
        assert found.high[d] == np.float32(column.max())


def test_a_state_that_only_some_tasks_have_is_told(write: Callable[[str], Path], three_tasks: Path) -> None:
    write("zip").rename(three_tasks / "zip.hdf5")  # has no `objects`
    with h5py.File(three_tasks / "zip.hdf5", "r+") as file:
        for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
            del demo["obs/camera"]
    with pytest.raises(
        DatasetError, match=r"zip\.hdf5: data\.observations: unknown observation 'objects'; valid: proprio"
    ):
        DemoStore.open(three_tasks)
    assert DemoStore.open(three_tasks, keys=["proprio"]).spec.task_names == ["lift", "push", "turn", "zip"]


def test_a_state_that_only_a_later_task_has_is_told(three_tasks: Path) -> None:
    for name in ("lift", "push"):
        with h5py.File(three_tasks / f"{name}.hdf5", "r+") as file:
            for demo in file["data"].values():  # pyright: ignore[reportAttributeAccessIssue]
                del demo["obs/objects"]
    with pytest.raises(
        DatasetError, match=r"lift\.hdf5: data\.observations: unknown observation 'objects'; valid: camera, proprio"
    ):
        DemoStore.open(three_tasks)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            ["propio"],
            r"lift\.hdf5: data\.observations: unknown observation 'propio'; did you mean 'proprio'\? valid: camera, ob",
        ),
        (["camera", "camra"], r"unknown observation 'camra'; did you mean 'camera'\? valid: camera, objects, proprio"),
        ([], r"no observations in data\.observations .*; found: camera, objects, proprio"),
    ],
)
def test_keys_that_do_not_exist(three_tasks: Path, keys: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        DemoStore.open(three_tasks, keys=keys)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        (["lift", "psuh"], r"data\.tasks: unknown task 'psuh'; did you mean 'push'\? valid: lift, push, turn"),
        (["lift", "lift"], "data.tasks: expected one task or more, each once, found: lift, lift"),
        ([], "data.tasks: expected one task or more, each once, found: none"),
    ],
)
def test_tasks_that_cannot_be_had(three_tasks: Path, tasks: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        DemoStore.open(three_tasks, tasks=tasks)


def test_a_dataset_of_images_alone(tmp_path: Path) -> None:
    episode = Episode(
        observations={"camera": np.zeros((2, 4, 4, 3), np.uint8)},
        actions=np.zeros((2, 1), np.float32),
        rewards=np.zeros(2, np.float32),
        dones=np.zeros(2, bool),
    )
    write_task(tmp_path / "a.hdf5", Task("a"), [episode], env_args={})
    with pytest.raises(
        DatasetError, match=r"a\.hdf5: no observations in data\.observations \(null: every state\).*camera"
    ):
        DemoStore.open(tmp_path)
    store = DemoStore.open(tmp_path, keys=["camera"])
    assert (list(store.features), list(store.images), store.spec.widths) == (["actions"], ["camera"], {"actions": (1,)})


def test_a_defect_refuses_the_dataset(three_tasks: Path) -> None:
    with h5py.File(three_tasks / "push.hdf5", "r+") as file:
        file["data/demo_3/actions"][0] = np.nan  # pyright: ignore[reportIndexIssue]
    with pytest.raises(DatasetError, match=r"push\.hdf5: demo_3: actions: .*see `mtil inspect .*three_tasks`"):
        DemoStore.open(three_tasks)
