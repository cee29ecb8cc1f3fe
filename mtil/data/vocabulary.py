"""New data join what an earlier policy was made for: which tasks there are then, of which sizes and datasets."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from mtil.errors import DatasetError
from mtil.types import DatasetSpec, Embodiment, FeatureSpec, Task

EARLIER = "(earlier)"
"""What the data of a policy of one dataset are called once there are others."""


def joined(earlier: DatasetSpec, data: DatasetSpec) -> DatasetSpec:
    """A vocabulary of earlier tasks, which new data join: the features are those of the data.

    Earlier tasks come first, in their order. One that the data hold, too, is told by the sentences of both, and has the
    data's size. Features are as wide as the widest of all tasks; an earlier task lacks what only new data have.

    Raises:
        DatasetError: A dataset of an earlier one's name calls its observations or tasks otherwise, or a task is in
            another dataset than it was.
    """
    told = {task.name: task.instructions for task in earlier.tasks}
    for task in data.tasks:
        told[task.name] = tuple(dict.fromkeys((*told.get(task.name, ()), *task.instructions)))

    def wide(feature: FeatureSpec) -> FeatureSpec:
        width = max(feature.shape[0], *earlier.widths.get(feature.key, ()), 0)
        return feature if feature.kind == "image" else replace(feature, shape=(width,))

    def width(key: str, task: str) -> int:
        if task in data.task_names:
            return data.width(key, task)
        return earlier.width(key, task) if key in earlier.widths else 0

    return replace(
        data,
        tasks=tuple(Task(name, sentences) for name, sentences in told.items()),
        observations=tuple(map(wide, data.observations)),
        action=wide(data.action),
        widths={key: tuple(width(key, task) for task in told) for key in data.widths},
        targets=tuple(map(wide, data.targets)),
        goal=tuple(map(wide, data.goal)),
        embodiments=_joined_embodiments(earlier, data),
    )


def known_embodiments(earlier: DatasetSpec) -> tuple[Embodiment, ...]:
    """Those of an earlier policy; of one dataset that is not told from others, the one that it is among others."""
    if earlier.embodiments:
        return earlier.embodiments
    keys = {feature.key: feature.key for feature in earlier.observations}
    views = tuple(feature.camera for feature in earlier.observations if feature.camera is not None)
    return (Embodiment(EARLIER, tuple(earlier.task_names), keys, views),)


def _joined_embodiments(earlier: DatasetSpec, data: DatasetSpec) -> tuple[Embodiment, ...]:
    """The earlier ones in their order, then those that are new."""
    if not earlier.embodiments and not data.embodiments:
        return ()
    seen, goals = {feature.key for feature in data.observations}, [feature.key for feature in data.goal]
    both = seen & {feature.key for feature in earlier.observations}
    found, new = {}, {each.name: each for each in data.embodiments}
    for each in known_embodiments(earlier):
        own = new.get(each.name, each)
        _check_called_alike(each, own, both)
        _check_owned(each, data.embodiments)
        kept = tuple(task for task in each.tasks if task not in data.task_names)
        keys = {key: name for key, name in own.keys.items() if key in seen}
        views = tuple(view for view in own.views if view.key in (*keys.values(), *goals))
        tasks = (*kept, *(own.tasks if own is not each else ()))
        found[each.name] = replace(own, tasks=tasks, keys=keys, views=views)
    return tuple((new | found)[name] for name in dict.fromkeys([*found, *new]))


def _check_owned(earlier: Embodiment, data: Sequence[Embodiment]) -> None:
    """A task that is known goes on in its own dataset, whose statistics are its."""
    for each in data:
        taken = [task for task in each.tasks if task in earlier.tasks and each.name != earlier.name]
        if taken:
            raise DatasetError(
                f"dataset {each.name!r}: task {taken[0]!r}: expected it in {earlier.name!r}, of which the policy knows "
                f"it; name: {earlier.name!r} in data.mixture if that is what these data are, or a prefix to tell them "
                "from it"
            )


def _check_called_alike(earlier: Embodiment, now: Embodiment, keys: Collection[str]) -> None:
    hint = "another name in data.mixture would tell it from that"
    if now.prefix != earlier.prefix:
        expected = f"expected prefix {earlier.prefix!r} as the policy knows this dataset, found {now.prefix!r}"
        raise DatasetError(f"dataset {now.name!r}: {expected}; {hint}")
    shown = {view.key: view for view in earlier.views}
    for view in now.views:
        if shown.get(view.key, view) != view:
            expected = f"expected {shown[view.key]} as the policy knows this dataset, found {view}"
            raise DatasetError(f"dataset {now.name!r}: {view.key}: {expected}; {hint}")
    for key in sorted(keys):
        was, found = (each.keys.get(key) for each in (earlier, now))
        if was != found:
            raise DatasetError(
                f"dataset {now.name!r}: {key}: expected {was or 'null'} as the policy knows this dataset, found "
                f"{found or 'null'}; data.mixture's keys can tell, or {hint}"
            )
