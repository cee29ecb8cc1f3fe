"""Goals of examples: states or images that their demonstrations came to.

Legend: B batch, D dimensions of the space of goals, E episodes, N rows of the store, T tasks, h x w pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mtil.data.config import FinalGoal, GoalsConfig, Relabelling, StatedGoal
from mtil.data.frames import Frames
from mtil.data.relabel import goal_rows
from mtil.data.store import DemoStore
from mtil.data.windows import Windows


@dataclass(frozen=True)
class Goals:
    """The goal of each window, found in the store; nothing is copied before a batch is made.

    Attributes:
        windows: Of the episodes that goals are taken from.
        task: Position of each window's task.
        relabel: Which step of an episode is a window's goal.
        states: What goals are taken from, key by key, where they are states.
        valid: By task, the dimensions that it has.
        images: What they are taken from where they are images.
    """

    windows: Windows
    task: Int[np.ndarray, " W"]
    relabel: Relabelling
    states: tuple[Float[np.ndarray, "N _"], ...] = ()
    valid: Bool[np.ndarray, "T D"] | None = None
    images: Frames | None = None

    def take(self, windows: Int[np.ndarray, " B"], share: Float[np.ndarray, " B"]) -> Shaped[Tensor, "B ..."]:
        """The goals of windows: states (B, D), NaN where a task has no such dimension, or images uint8 (B, h, w, 3).

        Args:
            windows: Which.
            share: A number for each, uniform over [0, 1), which decides the step.
        """
        rows = goal_rows(self.relabel, self.windows.place(windows), share)
        if self.images is not None:
            return self.images.take(rows[:, None])[:, 0]
        assert self.valid is not None, "a space of states knows which task has which"
        goals = np.concatenate([values.take(rows, axis=0) for values in self.states], axis=1)
        goals[~self.valid.take(self.task.take(windows), axis=0)] = np.nan
        return torch.from_numpy(goals)


def goals_of(
    store: DemoStore, windows: Windows, task: Int[np.ndarray, " W"], config: GoalsConfig, *, as_evaluated: bool = False
) -> Goals:
    """The goals of windows.

    Args:
        store: Opened with the space of goals.
        windows: Of some of its episodes.
        task: Position of each window's task.
        config: Which goals.
        as_evaluated: Whether a goal is the end of its demonstration, as in an evaluation, where it is not a stated one.
    """
    spec, relabel = store.spec, config.relabel
    if as_evaluated and not isinstance(relabel, StatedGoal):
        relabel = FinalGoal()
    if store.goal_images is not None:
        return Goals(windows, task, relabel, images=store.goal_images)
    states = [store.features[feature.key] for feature in spec.goal] if store.stated is None else [store.stated]
    valid = np.concatenate([spec.valid(feature) for feature in spec.goal], axis=1)
    return Goals(windows, task, relabel, states=tuple(values.numpy() for values in states), valid=valid)
