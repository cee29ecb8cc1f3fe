"""Several datasets side by side: each task's demonstrations as a policy that learns from all of them knows them.

Legend: T time steps.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtil.data.config import DataConfig, DatasetConfig
from mtil.data.formats import open_tasks
from mtil.data.images import Blank, Images, Stamp
from mtil.data.naming import name_of
from mtil.data.scaling import with_image_size
from mtil.data.selection import selected
from mtil.data.survey import describe
from mtil.data.task_demos import TaskDemos
from mtil.errors import ConfigError, DatasetError, unknown
from mtil.types import Embodiment, Episode, FeatureSpec, Task


@dataclass(frozen=True)
class Member(TaskDemos):
    """A task's demonstrations, its observations under the policy's keys; of those that it lacks, states have no
    dimensions, and images are black.

    Attributes:
        source: The demonstrations as they are.
        dataset: Name of their dataset.
        keys: By the policy's key of an observation that they have, their own.
        prefix: What the policy's name of the task begins with, and theirs does not.
    """

    source: TaskDemos
    dataset: str
    keys: Mapping[str, str]
    prefix: str

    def images(self, key: str) -> Iterator[Images]:
        if key in self.keys:
            yield from self.source.images(self.keys[key])
        else:
            yield from (Blank(self.path, self.stamp(), steps) for steps in self.lengths)

    def unread(self) -> tuple[str, ...]:
        return self.source.unread()

    def stamp(self) -> Stamp:
        return self.source.stamp()

    def _read(self, demos: Sequence[str], keys: Sequence[str]) -> Iterator[Episode]:
        for episode in self.source.episodes([self.keys[key] for key in keys if key in self.keys], demos):
            own = {key: episode.observations[self.keys[key]] for key in keys if key in self.keys}
            lacking = {key: np.zeros((len(episode), 0), np.float32) for key in keys if key not in self.keys}
            yield replace(episode, observations={key: (own | lacking)[key] for key in keys})


def mixed(config: DataConfig) -> list[Member]:
    """The tasks of several datasets, each with its observations under the policy's keys.

    What is asked for by name each dataset must have, or say that it has not; where nothing is, it need have none of the
    others' states.

    Raises:
        ConfigError: Two datasets have one name, or keys are told wrongly.
        DatasetError: One cannot be opened, lacks a task or key, or two have tasks of the same name.
    """
    names = [name_of(dataset) for dataset in config.mixture]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError(f"data.mixture: expected a name for each dataset, found {twice[0]!r} twice; give them a name")
    found: list[Member] = []
    for number, (dataset, name) in enumerate(zip(config.mixture, names, strict=True)):
        option = f"mixture.{number}"
        for task in selected(open_tasks(dataset.path), dataset.tasks, option=f"{option}.tasks"):
            task = with_image_size(task, config.image_size)
            keys = _keys(task, dataset, option)
            _check_wanted(task, keys, config, dataset, option)
            found.append(member(task, name, keys, prefix=dataset.prefix))
    _check_lacking(config, found)
    _check_names(found)
    return found


def placed(
    tasks: Sequence[TaskDemos],
    dataset: str,
    known: Sequence[Embodiment],
    *,
    wanted: Sequence[str] | None,
    seen: Container[str],
) -> list[Member]:
    """Tasks as those of the datasets that know them, or else as those of a new one, which has all that is wanted.

    Args:
        tasks: Of one dataset; members of several stay what they are.
        dataset: What it is called.
        known: What a policy knows of datasets: a task is of the one called so, if that has it, or else of any that has.
        wanted: Observations that are asked for.
        seen: Those that the policy knows: a dataset of its own that has one has it under the name that it knows.

    Raises:
        DatasetError: A task lacks an observation, or its dataset's name is another's.
    """
    return [_placed(task, dataset, known, wanted, seen) for task in tasks]


def completed(members: Sequence[Member], used: Container[str], seen: Sequence[FeatureSpec] = ()) -> list[Member]:
    """All with the same observations, those among them that they lack.

    Args:
        members: Tasks of all datasets.
        used: Keys of what is asked for, in which they have to agree; states, too, if none is.
        seen: What an earlier policy has seen, which they may lack, too.

    Raises:
        DatasetError: What two datasets call by one key is a state and an image, or images of two sizes.
    """
    features: dict[str, tuple[FeatureSpec, Member]] = {}
    for each in members:
        for key, feature in each.observations.items():
            first, holder = features.setdefault(key, (feature, each))
            differ = first.kind != feature.kind or (feature.kind == "image" and first.shape != feature.shape)
            if differ and key in used:
                raise DatasetError(
                    f"{each.path}: {key}: expected {describe(first)} as in {holder.path}, found {describe(feature)}; "
                    f"data.mixture can give it another key{_or_size(first, feature)}"
                )
    every = {feature.key: feature for feature in seen} | {key: feature for key, (feature, _) in features.items()}
    lacking = {key: _lacking(feature) for key, feature in every.items()}
    return [replace(each, observations={**lacking, **each.observations}) for each in members]


def member(task: TaskDemos, dataset: str, keys: Mapping[str, str] | None = None, *, prefix: str = "") -> Member:
    """A task of a dataset, its observations under the policy's keys where these are others."""
    keys = {key: key for key in task.observations} if keys is None else keys
    return Member(
        path=task.path,
        task=Task(f"{prefix}{task.task.name}", task.task.instructions),
        demos=task.demos,
        lengths=task.lengths,
        observations={key: replace(task.observations[own], key=key) for key, own in keys.items()},
        action=task.action,
        masks=task.masks,
        env_args=task.env_args,
        source=task,
        dataset=dataset,
        keys=keys,
        prefix=prefix,
    )


def _placed(
    task: TaskDemos, dataset: str, known: Sequence[Embodiment], wanted: Sequence[str] | None, seen: Container[str]
) -> Member:
    if isinstance(task, Member):
        return task
    called_so = [each for each in known if each.name == dataset]
    candidates = (*called_so, *(each for each in known if not each.prefix))  # others' tasks have other names
    found = next((each for each in candidates if f"{each.prefix}{task.task.name}" in each.tasks), None)
    if found is None and called_so:
        hint = f"another name tells them apart (in data.mixture or data.stream), or name: {dataset!r} if they are its"
        raise DatasetError(f"{task.path}: the policy knows other data by the name {dataset!r}; {hint}")
    keys = {key: key for key in wanted or task.observations} if found is None else dict(found.keys)
    for own in keys.values():
        if own not in task.observations:
            hint = "keys in data.mixture, in place of a plain path, can tell what it is called there, or null"
            raise DatasetError(f"{task.path}: {unknown('observation', own, task.observations)}; {hint}")
    others = [key for key in task.observations if key not in keys and key not in keys.values()]
    new = [key for key in others if found is None or key not in seen]
    keys = {**{key: key for key in new}, **keys}
    return member(task, dataset, keys) if found is None else member(task, found.name, keys, prefix=found.prefix)


def _check_alike(task: Member, earlier: Embodiment | None, keys: Sequence[str]) -> None:
    """All tasks of a dataset have the same observations, under the same names."""
    own = {key: task.keys[key] for key in keys if key in task.keys}
    if earlier is not None and own != earlier.keys:
        odd = next(key for key in keys if own.get(key) != earlier.keys.get(key))
        raise DatasetError(
            f"{task.path}: {odd}: expected the observations that {earlier.tasks[0]!r} of dataset {earlier.name!r} has "
            f"({', '.join(earlier.keys.values())}), found {', '.join(own.values())}; data.observations can leave it out"
        )


def _check_shown_alike(task: Member, own: Embodiment, earlier: Embodiment | None) -> None:
    """All tasks of a dataset are shown by the same cameras."""
    odd = [] if earlier is None else [view for view in own.views if view not in earlier.views]
    if odd or (earlier is not None and len(own.views) != len(earlier.views)):
        raise DatasetError(
            f"{task.path}: expected the views that {own.tasks[0]!r} of dataset {own.name!r} has, found others "
            f"({', '.join(map(str, odd)) or 'fewer'}); another name in data.mixture tells datasets apart"
        )


def embodiments(tasks: Sequence[TaskDemos], keys: Sequence[str], goals: Sequence[str] = ()) -> tuple[Embodiment, ...]:
    """What each dataset has of its own, in the order in which they come; none if there is no telling datasets apart.

    Args:
        tasks: All tasks.
        keys: Observations that a policy sees.
        goals: What its goals are made of.

    Raises:
        DatasetError: Tasks of one dataset differ in what they have, or in what their images show.
    """
    members = [task for task in tasks if isinstance(task, Member)]
    found = {}
    for each in members:
        earlier = found.get(each.dataset)
        _check_alike(each, earlier, keys)
        own = [task for task in members if task.dataset == each.dataset]
        views = [each.observations[key].camera for key in dict.fromkeys((*keys, *goals)) if key in each.keys]
        found[each.dataset] = Embodiment(
            name=each.dataset,
            tasks=tuple(task.task.name for task in own),
            keys={key: each.keys[key] for key in keys if key in each.keys},
            views=tuple(view for view in views if view is not None),
            prefix=each.prefix,
        )
        _check_shown_alike(each, found[each.dataset], earlier)
    return tuple(found.values())


def _keys(task: TaskDemos, dataset: DatasetConfig, option: str) -> dict[str, str]:
    """By the policy's key of each observation that a task has, its own."""
    told = {key: own for key, own in dataset.keys.items() if own is not None}
    for own in told.values():
        if own not in task.observations:
            raise DatasetError(f"{task.path}: data.{option}.keys: {unknown('observation', own, task.observations)}")
    untold = [key for key in task.observations if key not in dataset.keys and key not in told.values()]
    return {**{key: key for key in untold}, **told}


def _check_wanted(
    task: TaskDemos, keys: Mapping[str, str], config: DataConfig, dataset: DatasetConfig, option: str
) -> None:
    """Each observation asked for must be there, or be said not to be; those that tell tasks must be there."""
    seen = {"observations": config.observations or (), "targets": config.targets}
    told = {
        "clips.images": [config.clips.images] if config.clips else [],
        "goals.space": config.goals.keys if config.goals else (),
    }
    for where, key in [(where, key) for where, each in (seen | told).items() for key in each]:
        if key not in keys and (where in told or dataset.keys.get(key, key) is not None):
            hint = f"data.{option}.keys may tell what it is called there" + (", or null" if where in seen else "")
            raise DatasetError(f"{task.path}: data.{where}: {unknown('observation', key, keys)}; {hint}")
        if where == "goals.space" and keys[key] != key:
            raise ConfigError(f"data.{option}.keys: expected goals to be called alike everywhere, found {keys[key]!r}")


def _check_lacking(config: DataConfig, members: Sequence[Member]) -> None:
    """What a dataset says that it has not is something that is asked for, or that another one has."""
    known = list(dict.fromkeys([*(config.observations or ()), *(key for each in members for key in each.keys)]))
    for number, dataset in enumerate(config.mixture):
        for key in (key for key, own in dataset.keys.items() if own is None and key not in known):
            raise ConfigError(f"data.mixture.{number}.keys: {unknown('observation', key, known)}")


def _check_names(members: Sequence[Member]) -> None:
    holders: dict[str, Member] = {}
    for each in members:
        holder = holders.setdefault(each.task.name, each)
        if holder is not each:
            raise DatasetError(
                f"{each.path}: expected other tasks than {holder.path} has, found {each.task.name!r} in both; a prefix "
                "in data.mixture would tell them apart"
            )


def _or_size(first: FeatureSpec, other: FeatureSpec) -> str:
    """What else helps images that differ in size."""
    return ", data.image_size scale all images" if first.kind == other.kind else ""


def _lacking(feature: FeatureSpec) -> FeatureSpec:
    """An observation that a dataset has not: a state of no dimensions, or an image, which is black."""
    return replace(feature, camera=None) if feature.kind == "image" else replace(feature, shape=(0,))
