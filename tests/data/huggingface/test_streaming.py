"""Streams in portions: what each holds, and how much of it is on the disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Array3D, Dataset, Features, IterableDataset, List, Value
from hf_rows import LENGTHS, LIFT, MIXED, PUSH, episode_of, parquet, steps_of

from mtil.data.config import DataConfig
from mtil.data.huggingface.config import ColumnsConfig
from mtil.data.huggingface.sources import streams_of
from mtil.data.huggingface.streaming import HELD_OUT, Portions
from mtil.data.store import DemoStore
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError


def stream(rows: Dataset) -> IterableDataset:
    return rows.to_iterable_dataset()


def portions(rows: Dataset, episodes: int, held_out: int = 0) -> Portions:
    return Portions({"one": stream(rows)}, ColumnsConfig(), episodes=episodes, held_out=held_out)


def lengths(tasks: Sequence[TaskDemos]) -> dict[str, tuple[int, ...]]:
    return {task.task.name: task.lengths for task in tasks}


def test_portions_follow_each_other_and_begin_anew() -> None:
    found = portions(steps_of(LENGTHS, MIXED), 4)
    expected = [
        {LIFT: (4, 5), PUSH: (3, 2)},
        {LIFT: (6, 4), PUSH: (3, 2)},
        {LIFT: (5, 4), PUSH: (3, 3)},
        {LIFT: (5, 6), PUSH: (2, 3)},
        {LIFT: (4, 5), PUSH: (2, 3)},
    ]
    assert [lengths(found.open(number)) for number in range(7)] == [*expected, *expected[:2]]


def test_a_portion_is_a_function_of_its_number() -> None:
    rows = steps_of(LENGTHS, MIXED)
    for number in (3, 1, 2):
        found, fresh = portions(rows, 4), portions(rows, 4)
        for earlier in range(number):
            found.open(earlier)
        pairs = zip(found.open(number), fresh.open(number), strict=True)
        for one, other in pairs:
            assert all(a.equals(b) for a, b in zip(one.episodes(), other.episodes(), strict=True))


def test_what_is_read_is_what_is_in_the_stream() -> None:
    streamed = portions(steps_of(LENGTHS, MIXED), 4)
    lift, push = streamed.open(1)
    for task, numbers in ((lift, (4, 6)), (push, (5, 7))):
        for number, found in zip(numbers, task.episodes(), strict=True):
            assert found.equals(episode_of(number, LENGTHS[number]))


def plain(*, episodes: int, task: str = "a", steps: int = 3) -> list[dict[str, Any]]:
    one = {"task": task, "state": [0.0, 1.0], "action": [0.5]}
    return [{**one, "episode_index": n, "frame_index": step} for n in range(episodes) for step in range(steps)]


def test_a_stream_need_not_know_its_features() -> None:
    """Such as one that a function makes, or changes."""
    made = IterableDataset.from_generator(plain, gen_kwargs={"episodes": 4})
    changed = steps_of(LENGTHS, MIXED).to_iterable_dataset().map(lambda row: {**row, "task": "push it"})
    for each, expected in ((made, {"a": (3, 3)}), (changed, {PUSH: (4, 3)})):
        assert lengths(Portions({"one": each}, ColumnsConfig(), episodes=2).open(0)) == expected


@pytest.mark.parametrize("held_out", [0, 1])
def test_to_go_on_at_a_late_portion_reads_few_passes(held_out: int) -> None:
    table: Any = steps_of(LENGTHS, MIXED).with_format("arrow")[:]
    read = []

    def rows() -> Iterator[dict[str, Any]]:
        for row in table.to_pylist():
            read.append(row)
            yield row

    def fresh() -> Portions:
        counted = IterableDataset.from_generator(rows, features=steps_of((1,), (0,)).features)
        return Portions({"one": counted}, ColumnsConfig(), episodes=4, held_out=held_out)

    in_order = fresh()
    expected = [[[*task.episodes()] for task in in_order.open(number)] for number in range(24)]
    for number in (2, 3, 7, 23):
        read.clear()
        late = fresh()
        found = [[*task.episodes()] for task in late.open(number)]
        assert len(read) <= 4 * len(table)  # the first, that which goes on from it, and two that the portion lies in
        for task, known in zip(found, expected[number], strict=True):
            assert all(a.equals(b) for a, b in zip(task, known, strict=True))


@pytest.mark.parametrize("name", ["..", "a\0b", "x" * 300])
def test_names_of_tasks_need_not_be_names_of_files(name: str) -> None:
    assert lengths(portions(Dataset.from_list(plain(episodes=2, task=name)), 2).open(0)) == {name: (3, 3)}


def test_images_may_be_arrays() -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 5, 3), np.uint8)
    rows = [{**row, "eye": image} for row, image in zip(plain(episodes=2), images, strict=True)]
    number, vector = Value("int64"), List(Value("float32"))
    features = {"task": Value("string"), "state": vector, "action": vector, "episode_index": number}
    features |= {"frame_index": number, "eye": Array3D((4, 5, 3), "uint8")}
    stored = portions(Dataset.from_list(rows, features=Features(features)), 2)
    (task,) = stored.open(0)
    found = [episode.observations["eye"] for episode in task.episodes()]
    np.testing.assert_array_equal(np.concatenate(found), images)


def test_each_step_has_an_episode() -> None:
    rows = [*plain(episodes=1), {**plain(episodes=1)[0], "episode_index": None}]
    with pytest.raises(DatasetError, match="one: episode_index: row 3: expected a value, found none"):
        portions(Dataset.from_list(rows), 2).open(0)
    rows[3] |= {"episode_index": 1, "frame_index": None}
    with pytest.raises(DatasetError, match="one: frame_index: row 3: expected a value, found none"):
        portions(Dataset.from_list(rows), 2).open(0)


def test_rows_may_be_episodes() -> None:
    """Here they are read the same."""
    grouped: dict[int, dict[str, Any]] = {}
    table: Any = steps_of(LENGTHS, MIXED).with_format("arrow")[:]
    for row in table.to_pylist():
        episode = grouped.setdefault(row["episode_index"], {"task": row["task"], "action": [], "state": [], "top": []})
        for key in ("action", "state", "top"):
            episode[key].append(row[key])
    told = [{**episode, "task": ("lift the cube", "push it")[episode["task"]]} for episode in grouped.values()]
    rows = portions(Dataset.from_list(told), 4)
    assert lengths(rows.open(1)) == {LIFT: (6, 4), PUSH: (3, 2)}


def test_what_is_held_out_is_in_the_first_portion_alone() -> None:
    """The first of each task; in every pass."""
    found = portions(steps_of(LENGTHS, MIXED), 4, held_out=1)
    first = found.open(0)
    assert [task.masks[HELD_OUT] for task in first] == [("demo_0",), ("demo_0",)]
    assert lengths(first) == {LIFT: (4, 5), PUSH: (3, 2)}
    later = [found.open(number) for number in range(1, 6)]
    assert all(not task.masks for tasks in later for task in tasks)
    assert [lengths(tasks) for tasks in later] == [
        {LIFT: (6, 4), PUSH: (3, 2)},
        {LIFT: (5, 5), PUSH: (3, 2)},
        {LIFT: (6, 4), PUSH: (3, 2)},
        {LIFT: (5, 5), PUSH: (3, 2)},
        {LIFT: (6, 4), PUSH: (3, 2)},
    ]


def test_a_stream_that_is_smaller_than_a_portion() -> None:
    """No episode is there twice."""
    found = portions(steps_of((4, 3, 5, 2), (0, 1, 0, 1)), 100, held_out=1)
    expected = [{LIFT: (4, 5), PUSH: (3, 2)}, {LIFT: (5,), PUSH: (2,)}, {LIFT: (5,), PUSH: (2,)}]
    assert [lengths(found.open(number)) for number in range(3)] == expected
    assert lengths(portions(steps_of((4, 3, 5, 2), (0, 1, 0, 1)), 100, held_out=1).open(41)) == expected[1]
    with pytest.raises(
        DatasetError, match=r"expected more episodes than are held out, found 4; data\.stream\.held_out"
    ):
        portions(steps_of((4, 3, 5, 2), (0, 1, 0, 1)), 100, held_out=2).open(1)


def test_one_portion_at_a_time_is_on_the_disk(own_cache: Path) -> None:
    found = portions(steps_of(LENGTHS, MIXED), 2)
    for number in range(4):
        found.open(number)
        assert len(list(own_cache.rglob("*.hdf5"))) == 2
        assert len(list(own_cache.glob("stream-*/*/"))) == 1
    other = portions(steps_of(LENGTHS, MIXED), 2)
    other.open(0)
    assert len(list(own_cache.glob("stream-*/lock"))) == 2  # whoever makes another knows that these are in use
    assert len(list(own_cache.rglob("*.hdf5"))) == 4
    del other
    del found
    assert not list(own_cache.glob("*/"))


def test_each_portion_has_every_task() -> None:
    ordered = portions(steps_of((3,) * 6, (0, 0, 1, 0, 0, 0)), 3)
    ordered.open(0)
    expected = (
        r"one: portion 1: expected demonstrations of every task of the first one, lift-the-cube, push-it; found lift"
    )
    with pytest.raises(DatasetError, match=expected):
        ordered.open(1)
    apart = {"lift": stream(steps_of((3, 4, 5), (0,) * 3)), "push": stream(steps_of((2, 6), (1,) * 2))}
    found = Portions(apart, ColumnsConfig(), episodes=1)
    assert [lengths(found.open(number)) for number in range(4)] == [
        {LIFT: (3,), PUSH: (2,)},
        {LIFT: (4,), PUSH: (6,)},
        {LIFT: (5,), PUSH: (2,)},
        {LIFT: (3,), PUSH: (6,)},
    ]


def test_only_the_tasks_that_are_wanted_are_laid_down(one: str, own_cache: Path) -> None:
    """And need be in each portion."""
    rows = steps_of((3,) * 6, (0, 1, 0, 0, 0, 0))
    found = Portions({"one": stream(rows)}, ColumnsConfig(), episodes=2, tasks=[LIFT])
    assert [lengths(found.open(number)) for number in range(3)] == [{LIFT: (3,)}, {LIFT: (3, 3)}, {LIFT: (3, 3)}]
    assert len(list(own_cache.glob("stream-*/*/*.hdf5"))) == 1
    config = {"stream": {"sources": [one], "episodes": 4}, "tasks": ["fold"]}
    message = (
        "portion 0: expected demonstrations of every task that is wanted, fold; found lift-the-cube, push-it; take"
    )
    with pytest.raises(DatasetError, match=message):
        DemoStore.of(DataConfig.model_validate(config))


def test_a_task_is_told_in_the_words_of_all_streams() -> None:
    rows = steps_of((3, 4), (0, 0))
    named = [
        rows.remove_columns("task").add_column("task", ["lift"] * 7).add_column("instruction", [words] * 7)  # type: ignore[call-arg]
        for words in ("lift it", "raise it")
    ]
    found = Portions({str(number): stream(each) for number, each in enumerate(named)}, ColumnsConfig(), episodes=2)
    (task,) = found.open(0)
    assert task.task.instructions == ("lift it", "raise it")


def test_an_episode_ends_where_steps_begin_anew(tmp_path: Path) -> None:
    """In files that each number their episodes from zero, too, in folders of folders."""
    for place, steps in enumerate((3, 4, 2)):
        parquet(tmp_path / str(place), (steps,), (0,))
    found = Portions(streams_of([str(tmp_path)]), ColumnsConfig(), episodes=3)
    assert lengths(found.open(0)) == {LIFT: (3, 4, 2)}
