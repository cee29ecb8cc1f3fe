"""All demonstrations of all tasks: states and actions as one array a feature, images where they lie.

Legend: N rows (time steps of all episodes, one after the other), E episodes, D dimensions of a feature.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtil.data.config import ClipsConfig, DataConfig, GoalsConfig, RehearsalConfig, StatedGoal
from mtil.data.defects import ACTIONS
from mtil.data.frames import Frames
from mtil.data.hdf5 import TaskFile, open_tasks
from mtil.data.statistics import FeatureStatistics, feature_statistics
from mtil.errors import DatasetError, unknown
from mtil.types import DatasetSpec, FeatureSpec


@dataclass(frozen=True)
class DemoStore:
    """Episodes side by side; narrower tasks are padded with zeros.

    Attributes:
        spec: Tasks and features.
        features: By key, states and actions alike, in memory.
        images: By key, the images, which are read when they are asked for.
        clips: Images that clips of the demonstrations are made of, if any are.
        task: Position of each episode's task.
        start: First row of each episode.
        length: Steps of each episode.
        filters: By filter key, the episodes that it names.
        rehearsed: Names of the tasks whose demonstrations are mixed in lest they be forgotten.
        goal_images: Images that goals are taken from, if they are images.
        stated: The goals that the demonstrations themselves state, if these are to be taken.
    """

    spec: DatasetSpec
    features: Mapping[str, Float[Tensor, "N _"]]
    images: Mapping[str, Frames]
    clips: Frames | None
    task: Int[Tensor, " E"]
    start: Int[Tensor, " E"]
    length: Int[Tensor, " E"]
    filters: Mapping[str, Bool[Tensor, " E"]]
    rehearsed: tuple[str, ...] = ()
    goal_images: Frames | None = None
    stated: Float[Tensor, "N _"] | None = None

    @staticmethod
    def open(
        path: Path,
        *,
        keys: Sequence[str] | None = None,
        targets: Sequence[str] = (),
        clips: ClipsConfig | None = None,
        goals: GoalsConfig | None = None,
        tasks: Sequence[str] | None = None,
        rehearsal: RehearsalConfig | None = None,
        vocabulary: DatasetSpec | None = None,
    ) -> "DemoStore":
        """Read a file or folder of demonstrations.

        Args:
            path: A robomimic file, or a folder with one a task.
            keys: Observations wanted, states or images that every task has; None: every state.
            targets: States wanted beside them, to be told from images.
            clips: What is to show tasks.
            goals: What goals are made of.
            tasks: Tasks wanted, in the order that they get in the vocabulary; None: all, by name of their file.
            rehearsal: Demonstrations of other tasks to be mixed in.
            vocabulary: Of earlier tasks, which those found join; there need be no demonstrations of them.

        Raises:
            DatasetError: The demonstrations have a defect, or lack a key or task asked for, or nothing is.
        """
        new = _select(open_tasks(path), tasks, option="tasks")
        rehearsed = [] if rehearsal is None else _rehearsed(new, rehearsal)
        files = [*new, *rehearsed]
        space, stated = _goals(files, goals)
        found = _spec(files, _keys(files, keys), _targets(files, targets), _clips(files, clips), space)
        spec = found if vocabulary is None else vocabulary.joined(found)
        states = {f.key: f for f in (*spec.observations, *spec.targets, *spec.goal) if f.kind == "state"}
        wanted = {**states, ACTIONS: spec.action}
        read = _read(files, list((wanted if stated is None else {stated.key: stated, **wanted}).values()))
        images = [feature.key for feature in spec.observations if feature.kind == "image"]
        goal_images = [feature.key for feature in spec.goal if feature.kind == "image"]
        shown = [] if spec.clip is None else [spec.clip.key]
        frames = {key: Frames(files, key) for key in {*images, *goal_images, *shown}}
        length = torch.tensor([steps for file in files for steps in file.lengths])
        return DemoStore(
            spec=spec,
            features={key: read[key] for key in wanted},
            images={key: frames[key] for key in images},
            clips=None if spec.clip is None else frames[spec.clip.key].scaled(spec.clip.shape),
            goal_images=frames[goal_images[0]] if goal_images else None,
            stated=None if stated is None else read[stated.key],
            task=torch.tensor([spec.position(file.task.name) for file in files for _ in file.demos]),
            start=length.cumsum(0) - length,
            length=length,
            filters=_filters(files),
            rehearsed=tuple(file.task.name for file in rehearsed),
        )

    @staticmethod
    def of(config: DataConfig, *, vocabulary: DatasetSpec | None = None) -> "DemoStore":
        """The demonstrations that a configuration names, and perhaps a vocabulary that their tasks join.

        Raises:
            DatasetError: As `open` does.
        """
        return DemoStore.open(
            config.path,
            keys=config.observations,
            targets=config.targets,
            clips=config.clips,
            goals=config.goals,
            tasks=config.tasks,
            rehearsal=config.rehearsal,
            vocabulary=vocabulary,
        )

    def valid(self, key: str) -> Bool[Tensor, "tasks _"]:
        """Which dimensions of a state or action each task has."""
        return torch.from_numpy(self.spec.valid(self._feature(key)))

    def statistics(self, episodes: Int[Tensor, " _"]) -> dict[str, FeatureStatistics]:
        """Statistics of every state and of the action over the given episodes."""
        spans = zip(self.start[episodes].tolist(), self.length[episodes].tolist(), strict=True)
        rows = torch.cat([torch.arange(start, start + length) for start, length in spans])
        task = self.task[episodes].repeat_interleave(self.length[episodes])
        return {key: feature_statistics(values[rows], self.valid(key)[task]) for key, values in self.features.items()}

    def _feature(self, key: str) -> FeatureSpec:
        return next(
            f for f in (*self.spec.observations, *self.spec.targets, *self.spec.goal, self.spec.action) if f.key == key
        )


def _select(files: list[TaskFile], tasks: Sequence[str] | None, *, option: str) -> list[TaskFile]:
    if tasks is None:
        return files
    if not tasks or len(set(tasks)) < len(tasks):
        found = ", ".join(tasks) or "none"
        raise DatasetError(f"data.{option}: expected one task or more, each once, found: {found}")
    by_name = {file.task.name: file for file in files}
    for task in tasks:
        if task not in by_name:
            raise DatasetError(f"data.{option}: {unknown('task', task, by_name)}")
    return [by_name[task] for task in tasks]


def _rehearsed(new: list[TaskFile], wanted: RehearsalConfig) -> list[TaskFile]:
    """The files of other tasks than the new ones."""
    names = [file.task.name for file in new]
    chosen = _select(open_tasks(wanted.path), wanted.tasks, option="rehearsal.tasks")
    others = [file for file in chosen if file.task.name not in names]
    if not others:
        found = ", ".join(file.task.name for file in chosen)
        raise DatasetError(f"{wanted.path}: data.rehearsal: expected tasks that data.path has not, found {found}")
    return others


def _keys(files: list[TaskFile], wanted: Sequence[str] | None) -> list[str]:
    """The observation keys to read, each checked to be in every file."""
    valid = [file.observations for file in files]
    states = [key for features in valid for key, feature in features.items() if feature.kind == "state"]
    chosen = list(dict.fromkeys(states if wanted is None else wanted))
    if not chosen:
        present = ", ".join(dict.fromkeys(key for features in valid for key in features))
        raise DatasetError(
            f"{files[0].path}: no observations in data.observations (null: every state); found: {present}"
        )
    for file, features in zip(files, valid, strict=True):
        for key in chosen:
            if key not in features:
                raise DatasetError(f"{file.path}: data.observations: {unknown('observation', key, features)}")
    return chosen


def _targets(files: list[TaskFile], wanted: Sequence[str]) -> list[str]:
    """The states to be told, each checked to be in every file."""
    for file in files:
        states = [key for key, feature in file.observations.items() if feature.kind == "state"]
        for key in wanted:
            if key not in states:
                raise DatasetError(f"{file.path}: data.targets: {unknown('state', key, states)}")
    return list(dict.fromkeys(wanted))


def _clips(files: list[TaskFile], wanted: ClipsConfig | None) -> FeatureSpec | None:
    """What a frame of a clip is; such images are checked to be in every file."""
    if wanted is None:
        return None
    for file in files:
        images = [key for key, feature in file.observations.items() if feature.kind == "image"]
        if wanted.images not in images:
            raise DatasetError(f"{file.path}: data.clips: {unknown('image', wanted.images, images)}")
    frame = files[0].observations[wanted.images]
    if wanted.size is not None:
        height, width, colours = frame.shape
        part = wanted.size / min(height, width)
        view = None if frame.camera is None else replace(frame.camera, size=wanted.size)  # which is square
        frame = replace(frame, shape=(round(part * height), round(part * width), colours), camera=view)
    if wanted.shift >= min(frame.shape[:2]):
        expected = f"expected less than the {min(frame.shape[:2])} pixels of a frame, found {wanted.shift}"
        raise DatasetError(f"{files[0].path}: data.clips.shift: {expected}")
    return frame


def _goals(files: list[TaskFile], wanted: GoalsConfig | None) -> tuple[Sequence[str], FeatureSpec | None]:
    """The keys that goals are made of, and what the demonstrations state as their goals, if that is to be taken."""
    if wanted is None:
        return (), None
    space = list(dict.fromkeys(wanted.space))
    for file in files:
        kinds = {}
        for key in space:
            if key not in file.observations:
                raise DatasetError(f"{file.path}: data.goals.space: {unknown('observation', key, file.observations)}")
            kinds[key] = file.observations[key].kind
        if len(space) > 1 and "image" in kinds.values():
            found = ", ".join(f"{key} ({kind})" for key, kind in kinds.items())
            raise DatasetError(f"{file.path}: data.goals.space: expected states, or one image alone, found {found}")
    if not isinstance(wanted.relabel, StatedGoal):
        return space, None
    return space, _stated(files, space, wanted.relabel.key)


def _stated(files: list[TaskFile], space: Sequence[str], key: str) -> FeatureSpec:
    """The state that holds goals, checked to be in every file and of the shape of what it is a goal for."""
    where = "data.goals.relabel.key"
    if len(space) > 1:
        raise DatasetError(f"{where}: expected a space of one state key, found {', '.join(space)}")
    for file in files:
        states = {each: feature.shape for each, feature in file.observations.items() if feature.kind == "state"}
        if key not in states:
            raise DatasetError(f"{file.path}: {where}: {unknown('state', key, states)}")
        shape = file.observations[space[0]].shape
        if states[key] != shape:
            raise DatasetError(
                f"{file.path}: {where}: expected goals of the shape of {space[0]} {shape}, found {key} {states[key]}"
            )
    return _widest([file.observations[key] for file in files])


def _spec(
    files: list[TaskFile],
    keys: Sequence[str],
    targets: Sequence[str],
    clip: FeatureSpec | None,
    goal: Sequence[str],
) -> DatasetSpec:
    per_task = {key: [file.observations[key] for file in files] for key in (*keys, *targets, *goal)} | {
        ACTIONS: [file.action for file in files]
    }
    widest = {key: _widest(features) for key, features in per_task.items()}
    return DatasetSpec(
        tasks=tuple(file.task for file in files),
        observations=tuple(widest[key] for key in keys),
        action=widest[ACTIONS],
        widths={
            key: tuple(feature.shape[0] for feature in features)
            for key, features in per_task.items()
            if widest[key].kind != "image"
        },
        targets=tuple(widest[key] for key in targets),
        clip=clip,
        goal=tuple(widest[key] for key in goal),
    )


def _widest(features: Sequence[FeatureSpec]) -> FeatureSpec:
    """What holds a feature of every task, as it is read."""
    widest = max(features, key=lambda feature: feature.shape)
    return widest if widest.kind == "image" else replace(widest, dtype="float32")


def _read(files: list[TaskFile], features: Sequence[FeatureSpec]) -> dict[str, Float[Tensor, "N _"]]:
    """States and actions of all episodes, padded to the widest task; one episode at a time lies in memory twice."""
    rows = sum(sum(file.lengths) for file in files)
    stacked = {feature.key: np.zeros((rows, *feature.shape), np.float32) for feature in features}
    states = [feature.key for feature in features if feature.kind == "state"]
    row = 0
    for episode in itertools.chain.from_iterable(file.episodes(keys=states) for file in files):
        for key, array in {**episode.observations, ACTIONS: episode.actions}.items():
            stacked[key][row : row + len(array), : array.shape[1]] = array
        row += len(episode)
    return {key: torch.from_numpy(values) for key, values in stacked.items()}


def _filters(files: list[TaskFile]) -> dict[str, Bool[Tensor, " E"]]:
    keys = dict.fromkeys(key for file in files for key in file.masks)
    return {
        key: torch.tensor([demo in file.masks.get(key, ()) for file in files for demo in file.demos]) for key in keys
    }
