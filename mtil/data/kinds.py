"""Kinds of descriptor, by which a task is told."""

from collections.abc import Sequence
from typing import Literal, get_args

DescriptorKind = Literal["one_hot", "language", "video", "goal", "none"]

WrittenKind = Literal["one_hot", "language", "none"]
"""Of these, a vocabulary has few, which are prepared once; batches refer to them by row."""

WRITTEN: tuple[WrittenKind, ...] = get_args(WrittenKind)

NEEDS: dict[DescriptorKind, str] = {
    "one_hot": "a name",
    "language": "`language_instruction` in problem_info of its file (or choose policy.task_encoder.kind=one_hot)",
    "video": "a video in data.clips.videos, or two demonstrations, one to show while another is imitated",
    "goal": "the keys of data.goals in its file",
    "none": "nothing",
}
"""What a task must have to be told in a kind."""


def default_kind(kinds: Sequence[DescriptorKind]) -> DescriptorKind:
    """The kind that a policy which takes these is told in unless another is asked for: language, or its first."""
    return "language" if "language" in kinds else kinds[0]
