import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.training.metrics import TaskMeans

TASKS = ["reach", "push", "pull"]
examples = st.lists(st.tuples(st.integers(0, 2), st.floats(-100, 100, width=32)), max_size=12)


@given(batches=st.lists(examples, max_size=4))
def test_means_are_those_of_all_examples(batches: list[list[tuple[int, float]]]) -> None:
    means = TaskMeans(TASKS)
    for batch in batches:
        tasks, values = [task for task, _ in batch], [value for _, value in batch]
        means.add(torch.tensor(values, dtype=torch.float32), torch.tensor(tasks, dtype=torch.int64))
    every = [example for batch in batches for example in batch]
    expected = {"nll": np.mean([value for _, value in every])} if every else {}
    for position, name in enumerate(TASKS):
        of_task = [value for task, value in every if task == position]
        if of_task:
            expected[f"nll/{name}"] = np.mean(of_task)
    assert means.compute("nll") == pytest.approx(expected, abs=1e-6)


def test_balanced_each_task_weighs_the_same() -> None:
    means = TaskMeans(TASKS)
    means.add(torch.tensor([1.0, 3.0, 8.0]), torch.tensor([0, 0, 2]))
    assert means.compute("nll", balanced=True) == {"nll": 5.0, "nll/reach": 2.0, "nll/pull": 8.0}


def test_reading_empties() -> None:
    means = TaskMeans(TASKS)
    means.add(torch.tensor([1.0, 3.0]), torch.tensor([0, 0]))
    assert means.compute("nll") == {"nll": 2.0, "nll/reach": 2.0}
    assert means.compute("nll") == {}
    means.add(torch.tensor([5.0]), torch.tensor([2]))
    assert means.compute("nll") == {"nll": 5.0, "nll/pull": 5.0}
