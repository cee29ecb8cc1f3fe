"""What is found in rows: tasks and their episodes, and every defect."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from datasets import Dataset, DatasetDict, Features, Image, List, Value, concatenate_datasets
from hf_rows import SENTENCES, episode_of, png, steps_of

from mtil.data.formats import open_tasks
from mtil.data.frames import Frames
from mtil.data.huggingface.config import ColumnsConfig
from mtil.data.huggingface.saved import tasks_of
from mtil.data.inspection import inspect
from mtil.data.store import DemoStore
from mtil.errors import DatasetError
from mtil.types import Task


def test_each_class_label_is_a_task(rows: Dataset) -> None:
    lift, push = tasks_of(rows)
    assert (lift.task, push.task) == (Task("lift-the-cube", SENTENCES[:1]), Task("push-it", SENTENCES[1:]))
    assert (lift.lengths, push.lengths) == ((4, 5), (3, 2))
    assert lift.unread() == ("timestamp (not read: one number or word a step, of shape (T,))",)
    for number, found in zip((0, 2, 1, 3), [*lift.episodes(), *push.episodes()], strict=True):
        assert found.equals(episode_of(number, len(found)))


def test_a_store_of_what_is_in_memory(rows: Dataset) -> None:
    store = DemoStore.open(tasks_of(rows), keys=["top", "state"])
    assert store.spec.task_names == ["lift-the-cube", "push-it"]
    order = ((0, 4), (2, 5), (1, 3), (3, 2))
    expected = np.concatenate([episode_of(number, steps).observations["top"] for number, steps in order])
    np.testing.assert_array_equal(store.images["top"].take(np.arange(14)[:, None])[:, 0], expected)


def test_columns_of_other_names(rows: Dataset) -> None:
    renamed = rows.rename_columns({"action": "a", "task": "what", "episode_index": "ep", "frame_index": "t"})
    columns = ColumnsConfig(action="a", task="what", episode="ep", step="t", observations=("state",))
    (lift, _) = tasks_of(renamed, columns)
    assert list(lift.observations) == ["state"]
    assert next(lift.episodes()).observations["state"].shape == (4, 3)


@pytest.mark.filterwarnings("ignore:Specifying null_placement:FutureWarning")  # datasets, of pyarrow
def test_rows_that_were_chosen_or_put_in_order(rows: Dataset) -> None:
    """Indices of `datasets` are followed: to sort is enough."""
    order = np.random.default_rng(0).permutation(len(rows))
    found = tasks_of(rows.select(order).sort(["episode_index", "frame_index"]))
    for one, other in zip(tasks_of(rows), found, strict=True):
        assert all(a.equals(b) for a, b in zip(one.episodes(), other.episodes(), strict=True))
    (push,) = tasks_of(rows.filter(lambda row: row["task"] == 1))
    assert push.lengths == (3, 2)


def test_a_saved_dataset_is_inspected(rows: Dataset, tmp_path: Path) -> None:
    rows.save_to_disk(str(tmp_path / "saved"))
    found = inspect(tmp_path / "saved")
    assert [(task.task.name, task.demos) for task in found.tasks] == [("lift-the-cube", 2), ("push-it", 2)]
    assert not found.defects


def test_splits_are_opened_one_by_one(rows: Dataset, tmp_path: Path) -> None:
    DatasetDict({"train": rows, "test": rows.select(range(4))}).save_to_disk(str(tmp_path / "saved"))
    with pytest.raises(
        DatasetError, match=r"saved: expected one dataset, found several splits: .*saved/test, .*saved/tr"
    ):
        open_tasks(tmp_path / "saved")
    assert len(open_tasks(tmp_path / "saved" / "train")) == 2


def test_an_images_file_may_lie_beside(rows: Dataset, tmp_path: Path) -> None:
    def outside(row: dict[str, Any], index: int) -> dict[str, Any]:
        path = tmp_path / f"{index}.png"
        path.write_bytes(row["top"]["bytes"])
        return {"top": {"bytes": None, "path": str(path)}}

    features = rows.features
    apart = rows.cast_column("top", Image(decode=False)).map(outside, with_indices=True)
    (one, _), (other, _) = tasks_of(rows), tasks_of(apart.cast(features))
    assert next(one.episodes()).equals(next(other.episodes()))
    (tmp_path / "2.png").unlink()
    with pytest.raises(DatasetError, match="expected the bytes of a picture, or its file, found"):
        next(other.episodes())


def changed(row: int, **cells: Any) -> Callable[[Dataset], Dataset]:
    def change(rows: Dataset) -> Dataset:
        values = [{**each, **(cells if index == row else {})} for index, each in enumerate(_raw(rows))]
        return Dataset.from_list(values, features=rows.features)

    return change


def with_(column: str, values: list[Any]) -> Callable[[Dataset], Dataset]:
    """With another column."""
    return lambda rows: rows.add_column(column, values)  # pyright: ignore[reportCallIssue]


def _raw(rows: Dataset) -> list[dict[str, Any]]:
    table: Any = rows.with_format("arrow")[:]
    return table.to_pylist()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.remove_columns("action"), "expected a column 'action', found episode_index, frame_index"),
        (lambda rows: rows.remove_columns("task"), "expected a column 'task', found episode_index"),
        (lambda rows: rows.remove_columns("frame_index"), "expected a column 'frame_index' beside 'episode_index'"),
        (changed(1, frame_index=2), "episode 0: frame_index: row 1: expected step 1, found 2"),
        (changed(1, frame_index=None), "datasets.Dataset: frame_index: row 1: expected a value, found none"),
        (
            lambda rows: rows.map(lambda row: {"frame_index": [0, 1]}, features=None).cast_column(
                "frame_index", List(Value("int64"))
            ),
            r"frame_index: expected a number in each row, found lists of shape \(2,\)",
        ),
        (changed(5, task=0), "episode 1: task: expected one task an episode, found 'push it' and 'lift the cube'"),
        (changed(3, task=None), "task: row 3: expected a task's sentence or name, found None"),
        (changed(2, state=[1.0, 2.0]), r"episode 0: state: expected 3 values as in the first row, found 2 in row 2"),
        (changed(2, state=[1.0, None, 2.0]), "episode 0: state: .*expected a value, found none"),
        (changed(0, state=[float("nan")] * 3), "episode 0: state: step 0 is NaN"),
        (changed(6, action=None), "episode 1: action: row 2: expected a value, found none"),
        (changed(0, top={"bytes": b"no", "path": None}), "episode 0: top: a picture cannot be decoded"),
        (
            lambda rows: concatenate_datasets([rows, rows]),
            "episode 0: expected its rows in one stretch, found more at row 14; sort the dataset",
        ),
        (lambda rows: rows.select([]), "holds no episodes"),
        (with_("next.reward", ["much"] * 14), "episode 0: next.reward: expected numbers, found string"),
        (with_("next.reward", [0.0] * 13 + [float("nan")]), "episode 3: next.reward: step 1 is NaN"),
        (with_("next.done", [False] * 13 + [None]), "episode 3: next.done: row 1: expected a value, found none"),
        (
            with_("next.done", [[0, 1]] * 14),
            r"episode 0: next.done: expected one number a step, of shape \(4,\), found",
        ),
        (
            lambda _: concatenate_datasets([steps_of((3,), (0,)), wider(steps_of((3,), (0,), first=1))]),
            r"episode 1: state: expected state of shape \(3,\), found state of shape \(4,\)",
        ),
    ],
)
def test_defects(rows: Dataset, change: Callable[[Dataset], Dataset], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        tasks_of(change(rows))


def test_rewards_and_ends_may_be_lists_of_one(rows: Dataset) -> None:
    rewarded = with_("next.reward", [[step] for step in range(14)])(with_("next.done", [True] * 14)(rows))
    (lift, _) = tasks_of(rewarded)
    (first, second) = lift.episodes()
    assert (first.rewards.tolist(), second.rewards.tolist()) == ([0, 1, 2, 3], [7, 8, 9, 10, 11])
    assert first.dones.tolist() == [1] * 4


def wider(rows: Dataset) -> Dataset:
    values = [{**row, "state": [*row["state"], 0.0]} for row in _raw(rows)]
    return Dataset.from_list(values, features=rows.features)


def test_two_sentences_of_one_name_are_told(rows: Dataset) -> None:
    told = ["Lift it" if task == 0 else "lift it!" for task in rows["task"]]
    renamed = rows.remove_columns("task").add_column("task", told)
    with pytest.raises(DatasetError, match="holds task 'lift-it' already"):
        tasks_of(renamed)


def test_an_observation_that_is_asked_for_must_be_one(rows: Dataset) -> None:
    with pytest.raises(DatasetError, match="timestamp: expected a vector or an image a step, found one number"):
        tasks_of(rows, ColumnsConfig(observations=("state", "timestamp")))
    with pytest.raises(DatasetError, match="expected a column 'sate', found"):
        tasks_of(rows, ColumnsConfig(observations=("sate",)))


def test_a_damaged_picture_is_found_by_a_thorough_look(rows: Dataset, tmp_path: Path) -> None:
    content = bytearray(_raw(rows)[1]["top"]["bytes"])
    content[60] ^= 255
    changed(1, top={"bytes": bytes(content), "path": None})(rows).save_to_disk(str(tmp_path / "saved"))
    told = str(inspect(tmp_path / "saved").defects[0])
    assert told.startswith(f"{tmp_path / 'saved'}: episode 0: top: a picture cannot be decoded")


def test_whole_numbers_are_no_words(rows: Dataset) -> None:
    numbers = rows.cast_column("task", Value("int64"))
    with pytest.raises(DatasetError, match="task: row 0: expected a task's sentence or name, found 0"):
        tasks_of(numbers)


def test_no_damage_makes_an_inspection_raise(rows: Dataset, tmp_path: Path) -> None:
    """Nor ends the process: what is mapped is checked before it is followed."""
    rows.save_to_disk(str(tmp_path / "saved"))
    path = next((tmp_path / "saved").glob("*.arrow"))
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for number in range(40):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 4):
            content[at] = rng.integers(0, 256)
        damaged = tmp_path / f"damaged-{number}"  # what is mapped must not change
        shutil.copytree(tmp_path / "saved", damaged)
        (damaged / path.name).write_bytes(content[: rng.integers(len(content) // 2, len(content) + 1)])
        inspect(damaged)


@pytest.mark.parametrize("column", ["action", "task"])
def test_a_damaged_offset_is_refused_and_ends_no_process(tmp_path: Path, column: str) -> None:
    """Of the list of an action, or of the words of a task; Arrow itself would read whatever lies there."""
    lists = {"action": List(Value("float32")), "state": List(Value("float32")), "task": Value("string")}
    numbers = {"episode_index": Value("int64"), "frame_index": Value("int64")}
    one = {"episode_index": 0, "task": "a", "action": [0.5, 0.5], "state": [0.0, 1.0, 2.0]}
    rows = [{**one, "frame_index": step} for step in range(99)]
    Dataset.from_list(rows, features=Features(lists | numbers)).save_to_disk(str(tmp_path / "saved"))
    (file,) = (tmp_path / "saved").glob("*.arrow")
    width = {"action": 2, "task": 1}[column]
    offsets = np.arange(100, dtype=np.int32) * width
    damaged = offsets.copy()
    damaged[70] = 10**8
    content = file.read_bytes()
    assert content.count(offsets.tobytes()) == 1
    file.write_bytes(content.replace(offsets.tobytes(), damaged.tobytes()))
    assert "Offset invariant failure" in str(inspect(tmp_path / "saved").defects[0])


def test_words_beside_are_no_observation(rows: Dataset) -> None:
    (lift, _) = tasks_of(rows.add_column("tags", [["easy", "red"]] * len(rows)))
    assert lift.observations.keys() == {"state", "top"}
    assert any(note.startswith("tags (not read: values of type list") for note in lift.unread())


def test_a_named_task_may_be_told_in_several_sentences() -> None:
    """As they come, each once."""
    told = ("lift it", "raise it", "lift it")
    one = {"task": "lift", "action": [0.5], "state": [0.0, 1.0], "frame_index": 0}
    rows = [{**one, "episode_index": episode, "instruction": sentence} for episode, sentence in enumerate(told)]
    (task,) = tasks_of(Dataset.from_list(rows))
    assert (task.task, task.lengths) == (Task("lift", ("lift it", "raise it")), (1, 1, 1))


def test_any_of_its_files_that_changes_is_noticed(rows: Dataset, tmp_path: Path) -> None:
    rows.save_to_disk(str(tmp_path / "saved"), num_shards=2)
    for file in sorted((tmp_path / "saved").glob("*.arrow")):
        task = open_tasks(tmp_path / "saved")[0]
        images, before = Frames([task], "top", decoding="on_the_fly"), task.stamp()
        os.utime(file, ns=(0, 1))
        assert task.stamp() != before
        with pytest.raises(DatasetError, match="saved: top: changed since the dataset was opened"):
            images.take(np.array([[0]]))


def test_what_was_decoded_of_a_picture_that_has_changed_is_not_used(tmp_path: Path) -> None:
    def picture(value: int) -> None:
        (tmp_path / "eye.png").write_bytes(png(np.full((4, 4, 3), value, np.uint8))["bytes"] or b"")

    cell = {"bytes": None, "path": str(tmp_path / "eye.png")}
    row = {"episode_index": 0, "frame_index": 0, "task": "a", "action": [0.5], "eye": cell}
    numbers = {"episode_index": Value("int64"), "frame_index": Value("int64"), "action": List(Value("float32"))}
    found = Dataset.from_list([row], features=Features({**numbers, "task": Value("string"), "eye": Image()}))
    for value in (1, 2):
        picture(value)
        assert int(Frames(tasks_of(found), "eye").take(np.array([[0]])).max()) == value
