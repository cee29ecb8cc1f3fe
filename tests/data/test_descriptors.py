from collections import Counter

import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.data.descriptors import DescriptorTable, descriptor_table
from mtil.types import DatasetSpec, FeatureSpec, Task

tables = st.lists(st.lists(st.text(), min_size=1, max_size=5), min_size=1, max_size=6)


def spec(*tasks: Task) -> DatasetSpec:
    return DatasetSpec(tasks, (), FeatureSpec("actions", (1,), "float32", "action"), {"actions": (1,) * len(tasks)})


@given(tables, st.lists(st.integers(0, 5), max_size=20), st.integers(0, 2**32))
def test_a_drawn_row_is_one_of_the_tasks_own(by_task: list[list[str]], task: list[int], seed: int) -> None:
    table = DescriptorTable(by_task)
    task = [position % len(by_task) for position in task]
    share = torch.rand(len(task), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    rows = table.draw(torch.tensor(task, dtype=torch.long), share)
    first = [sum(map(len, by_task[:position])) for position in task]
    for row, start, position in zip(rows.tolist(), first, task, strict=True):
        assert start <= row < start + len(by_task[position])
        assert table.rows[row] in by_task[position]


def test_a_draw_is_uniform() -> None:
    table = DescriptorTable([["a"], ["b", "c", "d"]])
    rows = table.draw(torch.ones(300, dtype=torch.long), torch.arange(300, dtype=torch.float64) / 300)
    assert Counter(rows.tolist()) == {1: 100, 2: 100, 3: 100}


def test_names_and_sentences() -> None:
    tasks = spec(Task("open", ("open it", "pull it")), Task("close", ("shut it",)))
    assert descriptor_table("one_hot", tasks).rows == ["open", "close"]
    assert descriptor_table("language", tasks).rows == ["open it", "pull it", "shut it"]
    assert descriptor_table("none", tasks).rows == ["", ""]


def test_a_task_that_cannot_be_told_has_no_row() -> None:
    table = descriptor_table("language", spec(Task("open", ("open it",)), Task("close"), Task("lift", ("up",))))
    assert table.rows == ["open it", "up"]
    assert table.count.tolist() == [1, 0, 1]
    task, share = torch.tensor([0, 1, 2]), torch.full((3,), 0.9, dtype=torch.float64)
    assert table.draw(task, share).tolist() == [0, -1, 1]
