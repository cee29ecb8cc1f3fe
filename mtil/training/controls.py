"""Controls of a validation: what the policy makes of examples when it is told another task, or nothing.

Told another task, an example of one task is told as the first held-out example of another is: in its own kind of
descriptor, or, where the other task lacks that, in the other example's own. So every kind has the same rule, and a
batch need not hold another task.
"""

from collections.abc import Sequence

import numpy as np
import torch

from mtil.data.batch import Batch
from mtil.data.kinds import DescriptorKind
from mtil.data.sampling import Draw
from mtil.data.window_dataset import WindowDataset
from mtil.evaluation.controls import other_tasks
from mtil.evaluation.metrics import Control
from mtil.types import DatasetSpec


def validation_controls(kinds: Sequence[DescriptorKind], tasks: int) -> tuple[Control, ...]:
    """Those that there are: none of a policy that is never told its task, and of a single task none told another.

    Args:
        kinds: Of descriptor that the policy takes.
        tasks: Their number.
    """
    if set(kinds) == {"none"}:
        return ()
    return ("wrong", "absent") if tasks > 1 else ("absent",)


def examples_of_others(windows: WindowDataset, spec: DatasetSpec, *, seed: int) -> Batch | None:
    """By position of a task, the first window of another; None where fewer than two tasks have windows.

    Args:
        windows: Held out. (The place of a task that has none is taken by any of them: nobody asks.)
        spec: Of their dataset. Tasks that their simulators call alike are no others of each other.
        seed: Decides the cycle of the tasks.
    """
    tasks, first = np.unique(windows.task.numpy(), return_index=True)
    window = dict(zip(tasks.tolist(), first.tolist(), strict=True))
    others = other_tasks(list(window), seed=seed, called=lambda task: spec.simulated(spec.task_names[task]))
    if not others:
        return None
    chosen = [window[others[task]] if task in others else 0 for task in range(max(window) + 1)]
    return windows.__getitems__(Draw.part(0, torch.tensor(chosen)))
