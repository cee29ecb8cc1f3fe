"""Windows of demonstrations as batches, each gathered in one read.

Legend: B batch, W windows, T tasks.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor
from torch.utils.data import Dataset

from mtil.data.batch import Batch
from mtil.data.clips import Clips, Prepare
from mtil.data.config import GoalsConfig
from mtil.data.goals import goals_of
from mtil.data.kinds import DescriptorKind
from mtil.data.sampling import Draw
from mtil.data.store import DemoStore
from mtil.data.telling import Telling
from mtil.data.windows import Windows


class WindowDataset(Dataset[Batch]):
    """Windows of some episodes of a store; a whole batch is gathered in one read.

    Args:
        store: The demonstrations.
        episodes: Those to take windows from.
        history: Observations in a window.
        chunk: Actions in a window.
        kinds: Kinds of descriptor, one of each for every example, and how often it is conditioned on that one.
        clips: What shows the tasks, where that is one of the kinds; an episode's position in it is that in `episodes`.
        goals: What goals are, where they are one of the kinds.
        sentences: See `Telling`.
        every_kind: See `Telling`; where it is so, goals are those of an evaluation.
        seed: With the step, decides which descriptor and which kind.

    Raises:
        DatasetError: A task cannot be told in any of these kinds.
    """

    def __init__(
        self,
        store: DemoStore,
        episodes: Int[Tensor, " _"],
        *,
        history: int,
        chunk: int,
        kinds: Mapping[DescriptorKind, float],
        clips: Clips | None = None,
        goals: GoalsConfig | None = None,
        sentences: int | None = None,
        every_kind: bool = False,
        seed: int,
    ) -> None:
        start, length = store.start[episodes].numpy(), store.length[episodes].numpy()
        self._windows = Windows(start, length, history=history, chunk=chunk)
        self._task = store.task[episodes].numpy()[self._windows.episode]
        spec = store.spec
        states = [feature for feature in spec.observations if feature.kind == "state"]
        self._states = {state.key: store.features[state.key].numpy() for state in states}
        self._targets = {target.key: store.features[target.key].numpy() for target in spec.targets}
        self._target_mask = {target.key: spec.valid(target) for target in spec.targets}
        self._images = store.images
        self._observation_mask = {state.key: spec.valid(state) for state in states}
        self._actions = store.features[spec.action.key].numpy()
        self._action_mask = np.pad(spec.valid(spec.action), ((0, 1), (0, 0)))  # the last row is that of padding
        aims = None
        if goals is not None and "goal" in kinds:
            aims = goals_of(store, self._windows, self._task, goals, as_evaluated=every_kind)
        present = np.bincount(self._task, minlength=len(spec.tasks)) > 0
        self._telling = Telling(
            kinds,
            spec,
            clips=clips,
            goals=aims,
            every=every_kind,
            sentences=sentences,
            present=present if len(episodes) else None,
            seed=seed,
        )

    @property
    def task(self) -> Int[Tensor, " W"]:
        """Position of each window's task in the vocabulary."""
        return torch.from_numpy(self._task)

    @property
    def lacking(self) -> dict[DescriptorKind, list[int]]:
        """By kind of descriptor, positions of the tasks that have none and are told in the other kinds."""
        return self._telling.lacking

    def prepare_clips(self, prepare: Prepare) -> None:
        """Replace the frames of clips, if there are any, by what need be made of them only once."""
        self._telling.prepare_clips(prepare)

    def __len__(self) -> int:
        return len(self._windows)

    def __getitems__(self, draw: Draw) -> Batch:
        """The finished batch of a draw. (PyTorch's fetcher calls this once a batch.)"""
        windows = draw.windows.numpy()
        rows, task = self._windows.rows(windows), self._task.take(windows)
        owner = np.where(rows.chunk_mask, task[:, None], -1)  # of each action
        told = self._telling(task, self._windows.episode.take(windows), draw)
        return Batch(
            observations={key: _take(values, rows.history) for key, values in self._states.items()}
            | {key: images.take(rows.history) for key, images in self._images.items()},
            observation_mask={key: _take(valid, task) for key, valid in self._observation_mask.items()},
            history_mask=torch.from_numpy(rows.history_mask),
            actions=_take(self._actions, rows.chunk),
            action_mask=_take(self._action_mask, owner),
            task=torch.from_numpy(task),
            weight=draw.weight,
            descriptors=told.descriptors,
            condition=told.condition,
            targets={key: _take(values, rows.history[:, -1]) for key, values in self._targets.items()},
            target_mask={key: _take(valid, task) for key, valid in self._target_mask.items()},
            clips=told.clips,
            goals=told.goals,
        )


def _take(values: Shaped[np.ndarray, "N ..."], rows: Int[np.ndarray, "..."]) -> Tensor:
    """The given rows, copied. (NumPy's `take` is several times faster than indexing is.)"""
    return torch.from_numpy(values.take(rows, axis=0))
