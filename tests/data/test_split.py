from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.config import DataConfig
from mtil.data.split import split
from mtil.data.store import DemoStore
from mtil.errors import DatasetError
from mtil.types import DatasetSpec, FeatureSpec, Task


def store_of(*demos: int) -> DemoStore:
    """A store of so many one-step episodes of each task; splitting looks at nothing else."""
    task = torch.arange(len(demos)).repeat_interleave(torch.tensor(demos))
    names = tuple(Task(f"task-{i}") for i in range(len(demos)))
    action = FeatureSpec("actions", (1,), "float32", "action")
    return DemoStore(
        spec=DatasetSpec(names, (), action, {"actions": (1,) * len(demos)}),
        features={"actions": torch.zeros(len(task), 1)},
        images={},
        clips=None,
        task=task,
        start=torch.arange(len(task)),
        length=torch.ones_like(task),
        filters={},
    )


def config(**options: str | float | None) -> DataConfig:
    return DataConfig.model_validate({"path": "unused", **options})


sizes = st.lists(st.integers(1, 40), min_size=1, max_size=6)
fractions = st.floats(0, 1, exclude_max=True)


@given(sizes, fractions, st.integers(0, 99))
def test_every_episode_is_on_one_side_and_every_task_keeps_one_to_train_on(
    demos: list[int], fraction: float, seed: int
) -> None:
    store = store_of(*demos)
    train, validation = split(store, config(validation_fraction=fraction), seed=seed)
    assert sorted([*train.tolist(), *validation.tolist()]) == list(range(sum(demos)))
    for position, count in enumerate(demos):
        held_out = int((store.task[validation] == position).sum())
        assert held_out == min(round(fraction * count), count - 1)


@given(sizes, fractions, st.integers(0, 99))
def test_the_split_depends_on_the_seed_alone(demos: list[int], fraction: float, seed: int) -> None:
    first, second = (split(store_of(*demos), config(validation_fraction=fraction), seed=seed) for _ in range(2))
    assert [part.tolist() for part in first] == [part.tolist() for part in second]


def test_seeds_differ_and_tasks_differ() -> None:
    halves = [split(store_of(20, 20), config(validation_fraction=0.5), seed=seed)[1].tolist() for seed in range(2)]
    assert halves[0] != halves[1]
    assert halves[0][:10] != [episode - 20 for episode in halves[0][10:]]


def test_a_task_does_not_notice_the_others_growing() -> None:
    few = split(store_of(20, 20), config(validation_fraction=0.5), seed=0)[1]
    many = split(store_of(20, 30), config(validation_fraction=0.5), seed=0)[1]
    assert few[few < 20].tolist() == many[many < 20].tolist()


@pytest.fixture
def masked() -> DemoStore:
    return replace(
        store_of(4, 4),
        filters={
            "train": torch.tensor([1, 1, 0, 0] * 2).bool(),
            "valid": torch.tensor([0, 0, 1, 0] * 2).bool(),
            "first": torch.tensor([1] * 4 + [0] * 4).bool(),
        },
    )


@pytest.mark.parametrize(
    ("options", "train", "validation"),
    [
        ({"train_mask": "train", "validation_mask": "valid"}, [0, 1, 4, 5], [2, 6]),
        ({"train_mask": "train"}, [0, 1, 4, 5], [2, 3, 6, 7]),
        ({"validation_mask": "valid"}, [0, 1, 3, 4, 5, 7], [2, 6]),
    ],
)
def test_masks_are_honoured(masked: DemoStore, options: dict, train: list[int], validation: list[int]) -> None:
    found = split(masked, config(**options), seed=0)
    assert [part.tolist() for part in found] == [train, validation]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"train_mask": "trian"},
            r"data\.train_mask: unknown filter key 'trian'; did you mean 'train'\? valid: train, ",
        ),
        ({"validation_mask": "test"}, r"data\.validation_mask: unknown filter key 'test'"),
        ({"train_mask": "first", "validation_mask": "valid"}, "1 demos are in both masks 'first' and 'valid'"),
        ({"train_mask": "first"}, "task 'task-1': no demos to train on are left; data.train_mask is 'first'"),
        ({"validation_mask": "first"}, "task 'task-0': no demos to train on are left; .*validation_mask 'first'"),
    ],
)
def test_masks_that_do_not_work(masked: DemoStore, options: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        split(masked, config(**options), seed=0)


def test_masks_of_files(three_tasks: Path) -> None:
    store = DemoStore.open(three_tasks)
    train, validation = split(store, config(train_mask="train", validation_mask="valid"), seed=0)
    assert train.tolist() == [1, 2, 3, 11, 12, 13, 21, 22, 23]
    assert validation.tolist() == [0, 9, 10, 19, 20, 29]
