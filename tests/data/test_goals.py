"""Goals are what the store holds at the rows that hindsight points to."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from mtil.data.config import GoalsConfig
from mtil.data.goals import Goals, goals_of
from mtil.data.store import DemoStore
from mtil.data.windows import Windows
from mtil.errors import DatasetError

HALF = 0.5


def opened(folder: Path, space: list[str], **relabel: Any) -> tuple[DemoStore, GoalsConfig]:
    config = GoalsConfig.model_validate({"space": space, "relabel": {"kind": "final", **relabel}})
    return DemoStore.open(folder, keys=["objects"], goals=config), config


def goals(store: DemoStore, config: GoalsConfig, **options: Any) -> Goals:
    """Of all episodes."""
    windows = Windows(store.start.numpy(), store.length.numpy(), history=1, chunk=1)
    return goals_of(store, windows, store.task.numpy()[windows.episode], config, **options)


def test_states_are_strung_together_and_padded_with_nan(three_tasks: Path) -> None:
    store, config = opened(three_tasks, ["proprio", "objects"])
    assert [feature.key for feature in store.spec.goal] == ["proprio", "objects"]
    assert [feature.key for feature in store.spec.observations] == ["objects"]
    found = goals(store, config)
    at = store.start.numpy()
    for episode, goal in enumerate(found.take(at, np.full(len(at), HALF))):
        last = int(store.start[episode] + store.length[episode]) - 1
        task = store.spec.tasks[int(store.task[episode])].name
        width = {"lift": 3, "push": 5, "turn": 2}[task]
        assert torch.equal(goal[:width], store.features["proprio"][last, :width])
        assert goal[width:5].isnan().all()
        assert torch.equal(goal[5:], store.features["objects"][last])


def test_images(three_tasks: Path) -> None:
    store, config = opened(three_tasks, ["camera"], kind="future")
    assert store.goal_images is not None
    found = goals(store, config).take(np.array([0, 1]), np.array([0.0, 0.999]))
    assert found.dtype == torch.uint8
    last = int(store.length[0]) - 1
    assert torch.equal(found, store.goal_images.take(np.array([[1], [last]]))[:, 0])


def test_an_evaluation_gives_the_end(three_tasks: Path) -> None:
    store, config = opened(three_tasks, ["objects"], kind="random")
    found = goals(store, config, as_evaluated=True).take(np.array([0]), np.array([0.0]))
    assert torch.equal(found[0], store.features["objects"][int(store.length[0]) - 1])


def test_goals_that_are_stated(three_tasks: Path) -> None:
    for path in three_tasks.glob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            for number in range(10):
                steps = int(str(file[f"data/demo_{number}"].attrs["num_samples"]))
                file[f"data/demo_{number}/obs/desired"] = np.full((steps, 2), number, np.float32)
    store, config = opened(three_tasks, ["objects"], kind="stated", key="desired")
    assert "desired" not in store.features
    found = goals(store, config, as_evaluated=True).take(store.start.numpy()[:3], np.zeros(3))
    assert found.tolist() == [[0, 0], [1, 1], [2, 2]]


@pytest.mark.parametrize(
    ("space", "relabel", "message"),
    [
        (["nothing"], {}, r"data.goals.space: unknown observation 'nothing'; valid: \w+, \w+, \w+"),
        (
            ["objects", "camera"],
            {},
            r"expected states, or one image alone, found objects \(state\), camera \(image\)",
        ),
        (["objects"], {"kind": "stated", "key": "camera"}, "data.goals.relabel.key: unknown state 'camera'"),
        (["objects"], {"kind": "stated", "key": "proprio"}, r"expected goals of the shape of objects \(2,\), found"),
        (["objects", "proprio"], {"kind": "stated", "key": "objects"}, "expected a space of one state key"),
    ],
)
def test_mistakes(three_tasks: Path, space: list[str], relabel: dict[str, Any], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        opened(three_tasks, space, **relabel)
