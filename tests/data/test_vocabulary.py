"""What a vocabulary is once new data have joined it."""

from dataclasses import replace

from mtil.data.vocabulary import joined
from mtil.types import DatasetSpec, FeatureSpec, Task


def spec(tasks: dict[str, tuple[str, ...]], *, state: dict[str, int], action: dict[str, int]) -> DatasetSpec:
    """Tasks by name with their sentences, and the sizes that they have."""
    return DatasetSpec(
        tasks=tuple(Task(name, told) for name, told in tasks.items()),
        observations=(FeatureSpec("proprio", (max(state.values()),), "float32", "state"),),
        action=FeatureSpec("actions", (max(action.values()),), "float32", "action"),
        widths={"proprio": tuple(state.values()), "actions": tuple(action.values())},
    )


def test_new_tasks_join_a_vocabulary() -> None:
    earlier = spec({"push": ("push it",), "pull": ("pull it",)}, state={"push": 4, "pull": 2}, action={"_": 2, "-": 1})
    data = spec({"lift": (), "pull": ("draw it",)}, state={"lift": 3, "pull": 3}, action={"lift": 3, "pull": 3})
    found = joined(earlier, data)
    assert [(task.name, task.instructions) for task in found.tasks] == [
        ("push", ("push it",)), ("pull", ("pull it", "draw it")), ("lift", ()),
    ]  # fmt: skip
    assert (found.observations[0].shape, found.action.shape) == ((4,), (3,))
    assert found.widths == {"proprio": (4, 3, 3), "actions": (2, 3, 3)}
    assert joined(found, data) == found


def test_earlier_tasks_lack_what_only_new_data_have() -> None:
    earlier = spec({"push": ()}, state={"push": 4}, action={"push": 2})
    data = replace(
        spec({"lift": ()}, state={"lift": 3}, action={"lift": 2}),
        observations=(FeatureSpec("force", (3,), "float32", "state"),),
        widths={"force": (3,), "actions": (2,)},
    )
    found = joined(earlier, data)
    assert [feature.key for feature in found.observations] == ["force"]
    assert found.widths == {"force": (0, 3), "actions": (2, 2)}
    assert not found.valid(found.observations[0])[0].any()
