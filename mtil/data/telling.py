"""What tells the examples of a batch their tasks: descriptors, and the kind of these that counts.

Legend: B batch, E episodes, F frames of a clip, G goals, T tasks, U clips of a batch, h x w pixels.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from mtil.data.clips import ClipDraws, Clips, Prepare
from mtil.data.descriptors import DescriptorTable, descriptor_table
from mtil.data.goals import Goals
from mtil.data.kinds import WRITTEN, DescriptorKind, WrittenKind
from mtil.data.mixing import KindMix
from mtil.data.randomness import seed_of
from mtil.data.sampling import Draw
from mtil.types import DatasetSpec


class Told(NamedTuple):
    """What tells the tasks of a batch; see `Batch`."""

    descriptors: dict[str, Int[Tensor, " B"]]
    condition: Int[Tensor, " B"]
    clips: Shaped[Tensor, "U ..."] | None
    goals: Shaped[Tensor, "G ..."] | None


class Telling:
    """Draws what tells each example its task; a function of (seed, step) and of the example's place, on any rank.

    Args:
        kinds: Of descriptor, and how often an example is conditioned on each.
        spec: The vocabulary.
        clips: What shows the tasks, where that is one of the kinds.
        goals: What they are to reach, where that is one of the kinds.
        every: Whether examples get clips and goals also where they are conditioned on another kind, for comparison.
        sentences: Of a task in one batch, at most, where its examples do not draw each its own.
        present: Which tasks have examples, if not all.
        seed: With the step, decides everything.

    Attributes:
        lacking: By kind, positions of the tasks that have no descriptor of it, and are told in the others.

    Raises:
        DatasetError: A task cannot be told in any of these kinds, or a kind tells no task.
    """

    def __init__(
        self,
        kinds: Mapping[DescriptorKind, float],
        spec: DatasetSpec,
        *,
        clips: Clips | None = None,
        goals: Goals | None = None,
        every: bool = False,
        sentences: int | None = None,
        present: Bool[np.ndarray, " T"] | None = None,
        seed: int,
    ) -> None:
        self._tables: dict[WrittenKind, DescriptorTable] = {
            kind: descriptor_table(kind, spec) for kind in WRITTEN if kind in kinds
        }
        self._clips = clips if "video" in kinds else None
        self._goals = goals if "goal" in kinds else None
        self._shown = None if self._clips is None else ClipDraws(self._clips, len(spec.tasks))
        counts: dict[DescriptorKind, Int[np.ndarray, " T"]] = {}
        counts |= {kind: table.count for kind, table in self._tables.items()}
        counts |= {} if self._shown is None else {"video": self._shown.count}
        counts |= {} if self._goals is None else {"goal": np.ones(len(spec.tasks), np.int64)}
        self._kinds, self._every, self._seed = list(kinds), every, seed
        self._at_once: dict[WrittenKind, int] = {} if sentences is None else {"language": sentences}
        self._mix = KindMix(kinds, counts, spec.task_names, present=present)
        needed = True if present is None else present
        self.lacking: dict[DescriptorKind, list[int]] = {
            kind: np.flatnonzero((counts[kind] == 0) & needed).tolist() for kind in kinds
        }

    def prepare_clips(self, prepare: Prepare) -> None:
        """Replace the frames of clips, if there are any, by what need be made of them only once."""
        if self._clips is not None:
            self._clips = self._clips.prepared_by(prepare)

    def __call__(self, task: Int[np.ndarray, " B"], episode: Int[np.ndarray, " B"], draw: Draw) -> Told:
        """What tells a rank's part of a batch, given each example's task and the position of its episode."""
        generator = torch.Generator().manual_seed(seed_of(self._seed, draw.step))

        def uniform(*shape: int) -> Float[Tensor, "..."]:
            return torch.rand(shape, generator=generator, dtype=torch.float64)

        position = torch.from_numpy(task)

        def which(kind: WrittenKind, tasks: int) -> Float[Tensor, " B"]:
            at_once = self._at_once.get(kind)
            if at_once is None:
                return uniform(draw.size).index_select(0, draw.places)
            return uniform(tasks, at_once)[position, draw.places % at_once]  # examples of a task stand side by side

        rows: dict[str, Int[Tensor, " B"]] = {
            kind: table.draw(position, which(kind, len(table.count))) for kind, table in self._tables.items()
        }
        condition = self._mix.draw(position, draw.places, uniform().item())
        shown, goals = None, None
        if self._clips is not None and self._shown is not None:
            chosen = self._shown.draw(task, episode, uniform(len(self._shown.count), 2).numpy())
            chosen[~self._needed("video", condition)] = -1
            needed, row = np.unique(np.append(chosen, -1), return_inverse=True)  # -1 is then always the first of them
            rows["video"] = torch.from_numpy(row[:-1] - 1)
            shares = uniform(len(self._shown.count), self._clips.frames).numpy()  # of a task's clips, the same
            shown = self._clips.take(needed[1:], shares.take(self._clips.task.take(needed[1:]), axis=0))
        if self._goals is not None:
            share = uniform(draw.size).index_select(0, draw.places).numpy()
            needed = self._needed("goal", condition)
            rows["goal"] = torch.from_numpy(np.where(needed, needed.cumsum() - 1, -1))
            goals = self._goals.take(draw.windows.numpy()[needed], share[needed])
        return Told(rows, condition, shown, goals)

    def _needed(self, kind: DescriptorKind, condition: Int[Tensor, " B"]) -> Bool[np.ndarray, " B"]:
        """Which examples get a descriptor of a kind that is made for the batch."""
        return np.full(len(condition), True) if self._every else condition.numpy() == self._kinds.index(kind)
