"""All demonstrations of all tasks: states and actions as one array a feature, images where they lie.

Legend: N rows (time steps of all episodes, one after the other), E episodes, D dimensions of a feature.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mtil.data.config import ClipsConfig, DataConfig, Decoding, GoalsConfig, RehearsalConfig
from mtil.data.defects import ACTIONS
from mtil.data.formats import open_tasks
from mtil.data.frames import Frames
from mtil.data.huggingface.streaming import Portions
from mtil.data.mixture import Member, completed, embodiments, mixed, placed
from mtil.data.naming import called, streamed_name
from mtil.data.scaling import with_image_size
from mtil.data.selection import (
    asked_for,
    check_shown_alike,
    clip_frame,
    goal_space,
    keys_of,
    others_than,
    selected,
    targets_of,
    widest,
)
from mtil.data.statistics import FeatureStatistics, feature_statistics, stacked
from mtil.data.task_demos import TaskDemos
from mtil.data.vocabulary import joined, known_embodiments
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
        source: Path | Sequence[TaskDemos],
        *,
        keys: Sequence[str] | None = None,
        targets: Sequence[str] = (),
        clips: ClipsConfig | None = None,
        goals: GoalsConfig | None = None,
        tasks: Sequence[str] | None = None,
        rehearsal: RehearsalConfig | None = None,
        decoding: Decoding = "once",
        image_size: int | None = None,
        vocabulary: DatasetSpec | None = None,
        name: str | None = None,
    ) -> "DemoStore":
        """Read demonstrations.

        Args:
            source: A file or folder, in any format, or a name on the Hub; or tasks' demonstrations opened already.
            keys: Observations wanted, states or images that every task has; None: every state.
            targets: States wanted beside them, to be told from images.
            clips: What is to show tasks.
            goals: What goals are made of.
            tasks: Tasks wanted, in the order that they get in the vocabulary; None: all, by name of their file.
            rehearsal: Demonstrations of other tasks to be mixed in.
            decoding: When to decode images that cannot be mapped.
            image_size: Height and width that images are scaled to; None: as they are.
            vocabulary: Of earlier tasks, which those found join; there need be no demonstrations of them.
            name: What the dataset is called, where an earlier policy knows several; None: as its file or folder.

        Raises:
            DatasetError: The demonstrations have a defect, or lack a key or task asked for, or nothing is.
        """
        opened = open_tasks(source) if isinstance(source, Path) else list(source)
        seen = () if vocabulary is None else vocabulary.observations
        place = _placing(opened, vocabulary, keys, image_size)
        name = name or (called(source) if isinstance(source, Path) else "data")
        new = place(selected(opened, tasks, option="tasks"), name)
        rehearsed: list[TaskDemos] = []
        if rehearsal is not None:
            chosen = selected(open_tasks(rehearsal.path), rehearsal.tasks, option="rehearsal.tasks")
            rehearsed = others_than(new, place(chosen, called(rehearsal.path)), rehearsal.path)
        files: Sequence[TaskDemos] = [*new, *rehearsed]
        used = asked_for(keys, targets, clips, goals, files)
        members = [file for file in files if isinstance(file, Member)]
        if members:
            files = completed(members, used, seen)
        else:
            check_shown_alike(new, rehearsed, used)
        space, stated = goal_space(files, goals)
        found = _spec(files, keys_of(files, keys), targets_of(files, targets), clip_frame(files, clips), space)
        spec = found if vocabulary is None else joined(vocabulary, found)
        states = {f.key: f for f in (*spec.observations, *spec.targets, *spec.goal) if f.kind == "state"}
        wanted = {**states, ACTIONS: spec.action}
        read = _read(files, list((wanted if stated is None else {stated.key: stated, **wanted}).values()))
        images = [feature.key for feature in spec.observations if feature.kind == "image"]
        goal_images = [feature.key for feature in spec.goal if feature.kind == "image"]
        shown = [] if spec.clip is None else [spec.clip.key]
        frames = {key: Frames(files, key, decoding=decoding) for key in {*images, *goal_images, *shown}}
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
    def of(
        config: DataConfig, *, tasks: Sequence[TaskDemos] | None = None, vocabulary: DatasetSpec | None = None
    ) -> "DemoStore":
        """The demonstrations that a configuration names, and perhaps a vocabulary that their tasks join.

        Args:
            config: Which, and what of them; of a stream, the first portion.
            tasks: Other demonstrations, of which as much is wanted: another portion of a stream.
            vocabulary: Of earlier tasks.

        Raises:
            DatasetError: As `open` does.
        """
        if config.stream is not None and tasks is None:
            # They lie on the disk for as long as this is there.
            portions = Portions.of(config.stream, image_size=config.image_size, tasks=config.tasks)
            return DemoStore.of(config, tasks=portions.open(0), vocabulary=vocabulary)
        return DemoStore.open(
            tasks or config.path or mixed(config),
            keys=config.observations,
            targets=config.targets,
            clips=config.clips,
            goals=config.goals,
            tasks=config.tasks,
            rehearsal=config.rehearsal,
            decoding=config.decoding,
            image_size=config.image_size,
            vocabulary=vocabulary,
            name=None if config.stream is None else streamed_name(config.stream),
        )

    def valid(self, key: str) -> Bool[Tensor, "tasks _"]:
        """Which dimensions of a state or action each task has."""
        return torch.from_numpy(self.spec.valid(self._feature(key)))

    def statistics(self, episodes: Int[Tensor, " _"]) -> dict[str, FeatureStatistics]:
        """Statistics of every state and of the action over the given episodes."""
        spans = zip(self.start[episodes].tolist(), self.length[episodes].tolist(), strict=True)
        rows = torch.cat([torch.arange(0), *(torch.arange(start, start + length) for start, length in spans)])
        task = self.task[episodes].repeat_interleave(self.length[episodes])
        return {key: feature_statistics(values[rows], self.valid(key)[task]) for key, values in self.features.items()}

    def own_statistics(self, episodes: Int[Tensor, " _"]) -> dict[str, FeatureStatistics] | None:
        """The same of each embodiment, over its own of the given episodes; None where there are no such."""
        if not self.spec.embodiments:
            return None
        owner = torch.tensor([self.spec.embodiment(task) for task in self.spec.task_names])[self.task[episodes]]
        return stacked([self.statistics(episodes[owner == each]) for each in range(len(self.spec.embodiments))])

    def _feature(self, key: str) -> FeatureSpec:
        return next(
            f for f in (*self.spec.observations, *self.spec.targets, *self.spec.goal, self.spec.action) if f.key == key
        )


def _placing(
    opened: Sequence[TaskDemos], vocabulary: DatasetSpec | None, keys: Sequence[str] | None, image_size: int | None
) -> Callable[[Sequence[TaskDemos], str], list[TaskDemos]]:
    """What makes tasks of a dataset, given its name, those of one of several, if there are or were such."""
    several = any(isinstance(task, Member) for task in opened) or (vocabulary is not None and vocabulary.embodiments)
    known = () if vocabulary is None else known_embodiments(vocabulary)
    seen = [] if vocabulary is None else [feature.key for feature in vocabulary.observations]

    def place(tasks: Sequence[TaskDemos], dataset: str) -> list[TaskDemos]:
        wanted = [with_image_size(task, image_size) for task in tasks]
        return [*placed(wanted, dataset, known, wanted=keys, seen=seen)] if several else wanted

    return place


def _spec(
    files: Sequence[TaskDemos],
    keys: Sequence[str],
    targets: Sequence[str],
    clip: FeatureSpec | None,
    goal: Sequence[str],
) -> DatasetSpec:
    per_task = {key: [file.observations[key] for file in files] for key in (*keys, *targets, *goal)} | {
        ACTIONS: [file.action for file in files]
    }
    own = embodiments(files, keys, goal)
    wide = {key: widest(features) for key, features in per_task.items()}
    if own:  # which camera took an image differs
        wide = {key: replace(feature, camera=None) for key, feature in wide.items()}
    return DatasetSpec(
        tasks=tuple(file.task for file in files),
        observations=tuple(wide[key] for key in keys),
        action=wide[ACTIONS],
        widths={
            key: tuple(feature.shape[0] for feature in features)
            for key, features in per_task.items()
            if wide[key].kind != "image"
        },
        targets=tuple(wide[key] for key in targets),
        clip=clip,
        goal=tuple(wide[key] for key in goal),
        embodiments=own,
    )


def _read(files: Sequence[TaskDemos], features: Sequence[FeatureSpec]) -> dict[str, Float[Tensor, "N _"]]:
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


def _filters(files: Sequence[TaskDemos]) -> dict[str, Bool[Tensor, " E"]]:
    keys = dict.fromkeys(key for file in files for key in file.masks)
    return {
        key: torch.tensor([demo in file.masks.get(key, ()) for file in files for demo in file.demos]) for key in keys
    }
