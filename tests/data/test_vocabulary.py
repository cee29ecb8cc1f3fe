"""What a vocabulary is once new data have joined it."""

from dataclasses import replace

import pytest

from mtil.data.vocabulary import joined
from mtil.errors import DatasetError
from mtil.types import CameraView, DatasetSpec, Embodiment, FeatureSpec, Task


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
    assert (found.keys("push"), found.keys("lift")) == ({}, {"force": "force"})


def seen(*views: CameraView, task: str = "push") -> DatasetSpec:
    """A dataset of one task among others, seen by these."""
    images = [FeatureSpec(view.key, (8, 8, 3), "uint8", "image", scaled=True) for view in views]
    keys = {"proprio": "proprio"} | {image.key: image.key for image in images}
    own = Embodiment("arm", (task,), keys, views)
    alone = spec({task: ()}, state={task: 4}, action={task: 2})
    return replace(alone, observations=(*alone.observations, *images), embodiments=(own,))


def test_a_dataset_is_shown_as_the_policy_knows_it() -> None:
    """No task is shown another's picture."""
    top, cropped = CameraView("top", 16), CameraView("top", 16, (0.5, 0.5, 1.0, 1.0))
    found = joined(seen(top), seen(top, task="lift"))
    assert found.views("push") == found.views("lift") == (top,)
    with pytest.raises(DatasetError, match=r"dataset 'arm': top_image: expected .*crop=None.*, found .*crop=\(0\.5"):
        joined(seen(top), seen(cropped, task="lift"))


def test_goals_are_seen_by_views_of_their_own() -> None:
    top, front = CameraView("top", 16), CameraView("front", 16)
    data = seen(top, front)
    goal = data.observations[-1]
    (own,) = data.embodiments
    keys = {key: name for key, name in own.keys.items() if key != goal.key}
    data = replace(data, observations=data.observations[:-1], goal=(goal,), embodiments=(replace(own, keys=keys),))
    for found in (data, joined(seen(top, task="lift"), data)):
        assert (found.views("push"), found.goal_views("push")) == ((top,), (front,))
