"""What a served policy wants to be told and shown, and how it is told its tasks.

Legend: Z width of z.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from mtil.encoders.base import ClipEncoder
from mtil.encoders.goal import GoalEncoder
from mtil.errors import ServingError, unknown
from mtil.policies.policy import Policy
from mtil.serving.client import VERSION
from mtil.serving.protocol import ArrayType, ArrayTypes, Reset, array_type, described
from mtil.types import FeatureSpec


class Contract:
    """What requests to a policy must hold, and what it answers to those that begin an episode.

    Args:
        policy: The policy.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy, self._spec = policy, policy.spec
        self.shown = {kind: _shown(policy, kind) for kind in policy.kinds if kind in ("goal", "video")}
        self._widest: ArrayTypes = {feature.key: self._largest(feature) for feature in self._spec.observations}
        self.chunk = policy.config.chunk
        totals = [sum(each.size for each in self._widest.values()), *(each.size for each in self.shown.values())]
        self.largest_body = max(totals)

    def greeting(self) -> dict[str, Any]:
        """What the policy is, as JSON values."""
        return {
            "protocol": "mtil",
            "version": VERSION,
            "tasks": self._spec.task_names,
            "kinds": self._policy.kinds,
            "observations": described(self._widest),
            "shown": described(self.shown),
            "actions": self._spec.action.shape[0],
            "chunk": self.chunk,
            "history": self._policy.config.history,
        }

    def episode(self, reset: Reset) -> dict[str, Any]:
        """What an episode's observations and actions are, as JSON values."""
        return {
            "kind": self.kind(reset),
            "observations": described(self.observations(reset)),
            "actions": self._width(self._spec.action.key, reset),
        }

    def observations(self, reset: Reset) -> ArrayTypes:
        """What an episode's observations are: those that its task has."""
        keys = self._spec.keys(reset.task or "")
        return {
            keys[feature.key]: self._image(feature, reset.task or "")
            if feature.kind == "image"
            else array_type(feature.dtype, (self._width(feature.key, reset),))
            for feature in self._spec.observations
            if feature.key in keys
        }

    def descriptor(self, reset: Reset) -> ArrayTypes:
        """What arrays a reset must bring: the goal or clip, where that is what tells the task.

        Raises:
            MtilError: Its task is not known, or the policy is not told in this kind, or not so.
        """
        kind = self.kind(reset)
        differ = len(self._spec.embodiments) > 1 or any(len(set(each)) > 1 for each in self._spec.widths.values())
        if reset.task is None and differ:
            raise ServingError(f"task: expected a name, since tasks differ in size or dataset; valid: {self._names}")
        if reset.task is not None and reset.task not in self._spec.task_names:
            raise ServingError(unknown("task", reset.task, self._spec.task_names))
        if kind not in self.shown:
            return {}
        if kind == "goal" and self._spec.goal[0].kind != "image":
            width = sum(self._width(feature.key, reset) for feature in self._spec.goal)
            return {kind: ArrayType(dtype=self.shown[kind].dtype, shape=(width,))}
        return {kind: self.shown[kind]}

    def kind(self, reset: Reset) -> str:
        """The kind of descriptor that tells an episode its task.

        Raises:
            CheckpointError: The policy is not told in it.
            ServingError: Words are given that the kind does not take.
        """
        shown = [kind for kind in self.shown if kind in reset.arrays]
        words = ["language"] if reset.words is not None else []
        kind = reset.kind or [*words, *shown, self._policy.default_kind][0]
        self._policy.require(kind)
        if words and kind != "language":
            raise ServingError(f"words: expected none, since the task is told by {kind}, found {reset.words!r}")
        return kind

    @torch.inference_mode()
    def z(self, reset: Reset, arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> Float[Tensor, " Z"]:
        """What the policy acts on, of a reset that was checked.

        Raises:
            MtilError: A task is neither named nor told, or no language model reads the words.
        """
        kind = self.kind(reset)
        if kind not in arrays:
            return self._policy.embed(kind, [self._words(kind, reset)])[0]
        return self._policy.embed(kind, [self._padded(reset, arrays[kind]) if kind == "goal" else arrays[kind]])[0]

    def _largest(self, feature: FeatureSpec) -> ArrayType:
        """The largest of what an observation is in any task."""
        own = array_type(feature.dtype, feature.shape)
        if feature.kind != "image":
            return own
        return max([own, *(self._image(feature, task) for task in self._spec.task_names)], key=lambda each: each.size)

    def _image(self, feature: FeatureSpec, task: str) -> ArrayType:
        """An image of a task: if all were scaled, as its camera takes it, where that is known."""
        own = self._spec.keys(task).get(feature.key)
        taken = [view.size for view in self._spec.views(task) if feature.scaled and view.key == own]
        return array_type(feature.dtype, (taken[0], taken[0], 3) if taken else feature.shape)

    def _words(self, kind: str, reset: Reset) -> str:
        if reset.words is not None or kind == "none":
            return reset.words or ""
        if reset.task is None:
            raise ServingError(f"task: expected a name, since nothing else tells the task; valid: {self._names}")
        if kind == "one_hot":
            return reset.task
        sentences = self._spec.tasks[self._spec.position(reset.task)].instructions
        if not sentences:
            raise ServingError(f"words: expected a sentence, since the policy was taught none for {reset.task!r}")
        return sentences[0]

    def _padded(self, reset: Reset, goal: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "..."]:
        """A goal as the policy takes it: NaN where its task has no such dimension."""
        if reset.task is None or self._spec.goal[0].kind == "image":
            return goal
        row = self._spec.position(reset.task)
        valid = np.concatenate([self._spec.valid(feature)[row] for feature in self._spec.goal])
        whole = np.full(len(valid), np.nan, goal.dtype)
        whole[valid] = goal
        return whole

    def _width(self, key: str, reset: Reset) -> int:
        return self._spec.width(key, reset.task or "")

    @property
    def _names(self) -> str:
        return ", ".join(self._spec.task_names)


def _shown(policy: Policy, kind: str) -> ArrayType:
    """What an array is that shows a policy its task."""
    encoder = policy.require(kind)
    assert isinstance(encoder, ClipEncoder | GoalEncoder)
    is_state = kind == "goal" and policy.spec.goal[0].kind == "state"
    dtype = np.result_type(*(feature.dtype for feature in policy.spec.goal)) if is_state else np.dtype("uint8")
    return array_type(dtype, encoder.shape)
