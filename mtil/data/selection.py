"""What of the demonstrations is asked for: which files, and which of their keys; each checked to be in every file."""

from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

from mtil.data.config import ClipsConfig, GoalsConfig, StatedGoal
from mtil.data.survey import describe
from mtil.data.task_demos import TaskDemos
from mtil.errors import DatasetError, unknown
from mtil.types import FeatureSpec


def selected(files: list[TaskDemos], tasks: Sequence[str] | None, *, option: str) -> list[TaskDemos]:
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


def others_than(new: Sequence[TaskDemos], chosen: Sequence[TaskDemos], where: Path) -> list[TaskDemos]:
    """Those to be rehearsed: of the files chosen for that, which lie there, those of other tasks than the new ones."""
    names = [file.task.name for file in new]
    others = [file for file in chosen if file.task.name not in names]
    if not others:
        found = ", ".join(file.task.name for file in chosen)
        raise DatasetError(f"{where}: data.rehearsal: expected tasks that data.path has not, found {found}")
    return others


def check_shown_alike(new: Sequence[TaskDemos], rehearsed: Sequence[TaskDemos], used: Container[str]) -> None:
    """Images of what is rehearsed show what those of the new tasks show."""
    for file in rehearsed:
        for key, found in file.observations.items():
            expected = new[0].observations.get(key, found)
            if key in used and found.kind == "image" and found != expected:
                raise DatasetError(
                    f"{file.path}: {key}: expected {describe(expected)} as in {new[0].path}, found {describe(found)}; "
                    "data.mixture takes data that are seen otherwise"
                )


def asked_for(
    keys: Sequence[str] | None,
    targets: Sequence[str],
    clips: ClipsConfig | None,
    goals: GoalsConfig | None,
    files: Sequence[TaskDemos],
) -> set[str]:
    """Keys of all that is to be read of the files."""
    states = [key for file in files for key, each in file.observations.items() if each.kind == "state"]
    shown = [] if clips is None else [clips.images]
    return {*(states if keys is None else keys), *targets, *shown, *(() if goals is None else goals.keys)}


def keys_of(files: Sequence[TaskDemos], wanted: Sequence[str] | None) -> list[str]:
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


def targets_of(files: Sequence[TaskDemos], wanted: Sequence[str]) -> list[str]:
    """The states to be told, each checked to be in every file."""
    for file in files:
        states = [key for key, feature in file.observations.items() if feature.kind == "state"]
        for key in wanted:
            if key not in states:
                raise DatasetError(f"{file.path}: data.targets: {unknown('state', key, states)}")
    return list(dict.fromkeys(wanted))


def clip_frame(files: Sequence[TaskDemos], wanted: ClipsConfig | None) -> FeatureSpec | None:
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


def goal_space(files: Sequence[TaskDemos], wanted: GoalsConfig | None) -> tuple[Sequence[str], FeatureSpec | None]:
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


def _stated(files: Sequence[TaskDemos], space: Sequence[str], key: str) -> FeatureSpec:
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
    return widest([file.observations[key] for file in files])


def widest(features: Sequence[FeatureSpec]) -> FeatureSpec:
    """What holds a feature of every task, as it is read."""
    widest = max(features, key=lambda feature: feature.shape)
    return widest if widest.kind == "image" else replace(widest, dtype="float32")
