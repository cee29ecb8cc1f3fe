import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtil.evaluation.conditioning import Descriptor
from mtil.report.task_map import task_map


def descriptors(tasks: int, each: int, *, spread: float = 1.0, seed: int = 0) -> dict[str, list[Descriptor]]:
    generator = torch.Generator().manual_seed(seed)
    return {
        f"task {i}": [Descriptor(f"say {i}", spread * torch.randn(4, generator=generator)) for _ in range(each)]
        for i in range(tasks)
    }


@given(st.integers(1, 20), st.integers(1, 3), st.sampled_from([0.0, 1e-6, 1.0, 1e6]), st.integers(0, 20))
def test_every_mark_lies_on_the_paper(tasks: int, each: int, spread: float, seed: int) -> None:
    told = {"names": descriptors(tasks, 1, spread=spread, seed=seed), "clips": descriptors(tasks, each, seed=seed)}
    found = task_map(told, [f"task {i}" for i in range(tasks)])
    assert len(found.marks) == tasks * (1 + each)
    for mark in found.marks:
        x, y = map(float, re.findall(r"^M(-?[\d.]+) (-?[\d.]+)m", mark.path)[0])
        assert 1.9 <= x <= 98.1
        assert 1.9 <= y <= found.height - 1.9
    assert 20 <= found.height <= 62


def test_colours_are_of_tasks_and_shapes_of_kinds() -> None:
    told = {"names": descriptors(3, 1), "clips": descriptors(2, 2)}
    found = task_map(told, ["task 0", "task 1", "task 2", "never told"])
    assert len(set(found.hues.values())) == 4
    assert [mark.hue for mark in found.marks[:3]] == list(found.hues.values())[:3]
    assert [mark.title for mark in found.marks[-2:]] == ["task 1: say 1"] * 2
    shapes = dict(found.kinds)
    assert list(shapes) == ["names", "clips"]
    assert [mark.path.endswith(shapes["clips"]) for mark in found.marks] == [False] * 3 + [True] * 4


def test_what_does_not_vary_is_one_point() -> None:
    found = task_map({"names": descriptors(4, 1, spread=0.0)}, [f"task {i}" for i in range(4)])
    assert len({mark.path for mark in found.marks}) == 1
    assert found.share == pytest.approx(0)
