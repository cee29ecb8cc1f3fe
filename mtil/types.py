"""What a demonstration is. Each type checks itself once, where data enters; behind it, shapes are trusted.

Legend: T time steps of an episode, A action dimensions, D dimensions of a state or action.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Shaped

from mtil.errors import DatasetError, unknown

FeatureKind = Literal["state", "image", "action"]


@dataclass(frozen=True)
class Task:
    """A task, known by its name on disk and in checkpoints.

    Attributes:
        name: Unique within a dataset, e.g. `"drawer-open-v3"`.
        instructions: Sentences that each tell the task; empty if it cannot be told.
    """

    name: str
    instructions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.name or "/" in self.name:
            raise DatasetError(f"task name {self.name!r}: expected a non-empty name without '/'")
        blank = [sentence for sentence in self.instructions if not sentence.strip()]
        if blank:
            raise DatasetError(f"task {self.name!r}: instruction {blank[0]!r} is blank")


@dataclass(frozen=True)
class CameraView:
    """A simulator's picture: where it is taken, and what is kept of it.

    Attributes:
        camera: The camera's name in the simulator.
        size: Height and width in pixels.
        crop: Left, top, right and bottom of what is shown, as fractions of the full square picture; None: all of it.
    """

    camera: str
    size: int
    crop: tuple[float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if not self.camera or "/" in self.camera:
            raise DatasetError(f"camera name {self.camera!r}: expected a non-empty name without '/'")
        if not isinstance(self.size, int) or self.size < 1:
            raise DatasetError(f"camera {self.camera!r}: expected a size of at least 1 pixel, got {self.size}")
        if self.crop is not None:
            left, top, right, bottom = self.crop
            if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
                raise DatasetError(
                    f"camera {self.camera!r}: expected a crop (left, top, right, bottom) within 0 and 1; left < right "
                    f"and top < bottom, got {self.crop}"
                )

    @property
    def key(self) -> str:
        """Its key among the observations."""
        return f"{self.camera}_image"


@dataclass(frozen=True)
class FeatureSpec:
    """Shape and meaning of one observation key, or of the action, at a single time step.

    Attributes:
        key: Name in the dataset, e.g. `"proprio"`.
        shape: Shape of one step: `(D,)` for a state or action, `(H, W, 3)` for an image.
        dtype: A NumPy name: `"uint8"` for images, otherwise as stored.
        kind: Whether it is a state vector, an image or the action.
        camera: Of an image that a simulator took, the view that gives it again.
        scaled: Whether an image was scaled to its shape, as those that a policy is shown are then, whatever their size.
    """

    key: str
    shape: tuple[int, ...]
    dtype: str
    kind: FeatureKind
    camera: CameraView | None = None
    scaled: bool = False

    def __post_init__(self) -> None:
        if self.kind == "image" and (self.dtype != "uint8" or len(self.shape) != 3 or self.shape[2] != 3):
            raise DatasetError(
                f"{self.key}: an image must be uint8 of shape (height, width, 3), got {self.dtype} {self.shape}"
            )
        if self.kind != "image" and len(self.shape) != 1:
            raise DatasetError(f"{self.key}: expected one vector per step, got shape {self.shape}")
        if self.camera is not None and not self.scaled and self.shape != (self.camera.size, self.camera.size, 3):
            taken = (self.camera.size, self.camera.size, 3)
            raise DatasetError(f"{self.key}: expected the shape that its camera gives, {taken}, got {self.shape}")


@dataclass(frozen=True)
class Episode:
    """One demonstration: `observations[key][t]` was seen before `actions[t]` was taken.

    Attributes:
        observations: Arrays of shape `(T, ...)` by key.
        actions: The expert's actions.
        rewards: One a step.
        dones: Non-zero where the episode ended.
    """

    observations: Mapping[str, Shaped[np.ndarray, "T ..."]]
    actions: Float[np.ndarray, "T A"]
    rewards: Float[np.ndarray, " T"]
    dones: Shaped[np.ndarray, " T"]

    def __post_init__(self) -> None:
        steps = len(self.actions)
        if self.actions.ndim != 2 or not steps:
            raise DatasetError(f"actions must have shape (T, A) with T >= 1, got {self.actions.shape}")
        for key, array in {**self.observations, "rewards": self.rewards, "dones": self.dones}.items():
            if len(array) != steps:
                raise DatasetError(f"{key}: expected {steps} steps as the actions have, got {len(array)}")
        for key, array in {**self.observations, "actions": self.actions}.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise DatasetError(f"{key}: step {first_not_finite(array)} is NaN or infinite")

    def __len__(self) -> int:
        return len(self.actions)

    def equals(self, other: "Episode") -> bool:
        """Whether another one holds the same values, to the bit, under the same keys."""
        if self.observations.keys() != other.observations.keys():
            return False
        arrays = [(array, other.observations[key]) for key, array in self.observations.items()]
        arrays += [(self.actions, other.actions), (self.rewards, other.rewards), (self.dones, other.dones)]
        return all(one.dtype == two.dtype and np.array_equal(one, two) for one, two in arrays)


def first_not_finite(array: Float[np.ndarray, "T ..."]) -> int:
    """The first time step at which an array holds a NaN or an infinity."""
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return int(np.flatnonzero(~finite)[0])


@dataclass(frozen=True)
class Embodiment:
    """What the tasks of one dataset have of their own, where a policy learns from several.

    Attributes:
        name: Of the dataset.
        tasks: Names of its tasks.
        keys: By the policy's key of an observation that they have, the key in the dataset and in its simulator.
        views: What the simulator has to show, of observations and goals.
        prefix: What the names of its tasks begin with that the simulator does not know.
    """

    name: str
    tasks: tuple[str, ...]
    keys: Mapping[str, str]
    views: tuple[CameraView, ...] = ()
    prefix: str = ""


@dataclass(frozen=True)
class DatasetSpec:
    """The tasks and features that a dataset holds and a policy is made for.

    Tasks may differ in size: a feature's shape is the widest, `widths` tells how much of it each task uses.

    Attributes:
        tasks: The ordered vocabulary; a task's position in it is its index.
        observations: One per observation key.
        action: The action.
        widths: By key of a state or action, the dimensions that each task has.
        targets: States that the policy does not see, but learns to tell from its images.
        clip: What a frame of a clip that shows a task is, if tasks are shown.
        goal: What goals are made of, states strung together or one image, if there are any.
        embodiments: What is particular to each dataset, where there are several: each task is of one. Numbers of states
            and actions are normalised by it.
    """

    tasks: tuple[Task, ...]
    observations: tuple[FeatureSpec, ...]
    action: FeatureSpec
    widths: Mapping[str, tuple[int, ...]]
    targets: tuple[FeatureSpec, ...] = ()
    clip: FeatureSpec | None = None
    goal: tuple[FeatureSpec, ...] = ()
    embodiments: tuple[Embodiment, ...] = ()

    def position(self, task: str) -> int:
        """Index of a task.

        Raises:
            DatasetError: There is no such task.
        """
        names = self.task_names
        if task not in names:
            raise DatasetError(unknown("task", task, names))
        return names.index(task)

    def width(self, key: str, task: str) -> int:
        """Dimensions of a state or action that a task has; one outside the vocabulary has as many as all in it.

        Raises:
            DatasetError: There is no such task, and those that there are differ.
        """
        if task not in self.task_names and len(set(self.widths[key])) == 1:
            return self.widths[key][0]
        return self.widths[key][self.position(task)]

    @property
    def task_names(self) -> list[str]:
        """Names of the tasks, in order."""
        return [task.name for task in self.tasks]

    def embodiment(self, task: str) -> int | None:
        """Position of a task's embodiment, if there are such; one outside the vocabulary is of the only one.

        Raises:
            DatasetError: There is no such task, and there are several.
        """
        if not self.embodiments:
            return None
        if len(self.embodiments) == 1:
            return 0
        self.position(task)
        return next(number for number, each in enumerate(self.embodiments) if task in each.tasks)

    def keys(self, task: str) -> Mapping[str, str]:
        """By key of each observation that a task has, what its simulator calls it.

        Raises:
            DatasetError: As `embodiment` does.
        """
        own, same = self.embodiment(task), {feature.key: feature.key for feature in self.observations}
        keys = same if own is None else self.embodiments[own].keys
        lacking = [key for key in keys if key in self.widths and task in self.task_names and not self.width(key, task)]
        return {key: name for key, name in keys.items() if key not in lacking}

    def simulated(self, task: str) -> str:
        """What a task is called in its simulator: as it is in its dataset."""
        own = next((each for each in self.embodiments if task in each.tasks), None)
        return task if own is None else task.removeprefix(own.prefix)

    def views(self, task: str) -> tuple[CameraView, ...]:
        """What a simulator has to show of a task, beside its states.

        Raises:
            DatasetError: As `embodiment` does.
        """
        return self._taken(task, self.observations, self.keys(task))

    def goal_views(self, task: str) -> tuple[CameraView, ...]:
        """The same of the task's goals.

        Raises:
            DatasetError: As `embodiment` does.
        """
        return self._taken(task, self.goal, {feature.key: feature.key for feature in self.goal})

    def _taken(self, task: str, features: Sequence[FeatureSpec], keys: Mapping[str, str]) -> tuple[CameraView, ...]:
        own = self.embodiment(task)
        if own is None:
            return tuple(feature.camera for feature in features if feature.camera is not None)
        return tuple(view for view in self.embodiments[own].views if view.key in keys.values())

    def valid(self, feature: FeatureSpec) -> Bool[np.ndarray, "tasks D"]:
        """Which dimensions of a state or action each task has."""
        return np.arange(feature.shape[0]) < np.asarray(self.widths[feature.key])[:, None]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, for checkpoints."""
        return json.loads(json.dumps(asdict(self)))

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "DatasetSpec":
        """The inverse of `to_json`."""

        def view(found: Mapping[str, Any]) -> CameraView:
            crop = found["crop"]
            return CameraView(found["camera"], found["size"], None if crop is None else tuple(crop))

        def embodiment(found: Mapping[str, Any]) -> Embodiment:
            views = tuple(view(each) for each in found["views"])
            return Embodiment(found["name"], tuple(found["tasks"]), found["keys"], views, found.get("prefix", ""))

        def feature(found: Mapping[str, Any]) -> FeatureSpec:
            camera = found.get("camera")  # earlier checkpoints do not tell
            shape, seen = tuple(found["shape"]), None if camera is None else view(camera)
            return FeatureSpec(found["key"], shape, found["dtype"], found["kind"], seen, found.get("scaled", False))

        return DatasetSpec(
            tasks=tuple(Task(task["name"], tuple(task["instructions"])) for task in values["tasks"]),
            observations=tuple(feature(found) for found in values["observations"]),
            action=feature(values["action"]),
            widths={key: tuple(widths) for key, widths in values["widths"].items()},
            targets=tuple(feature(found) for found in values.get("targets", ())),  # earlier checkpoints have none
            clip=feature(values["clip"]) if values.get("clip") else None,
            goal=tuple(feature(found) for found in values.get("goal", ())),
            embodiments=tuple(embodiment(found) for found in values.get("embodiments", ())),
        )
