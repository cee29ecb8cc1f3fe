"""What a policy makes of what it is told: where tasks lie to each other in the space of z, and which it could confuse.

Legend: T tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mtil.evaluation.conditioning import Descriptors
from mtil.evaluation.retrieval import Retrieval, cosines, prototypes, retrieve
from mtil.report.run import Run
from mtil.report.task_map import TaskMap, task_map
from mtil.report.told import told

_TABLE = 15  # tasks, at most, whose cosines fit a table
_PAIRS = 20  # else, so many of the closest


@dataclass(frozen=True)
class Cosines:
    """Cosines between the tasks' mean embeddings.

    Attributes:
        tasks: Their names.
        rows: For each task, that with every task; none where there are too many to look at.
        closest: Pairs of tasks, the most alike first; all of them, or some.
        pairs: How many there are.
    """

    tasks: Sequence[str]
    rows: Sequence[Sequence[float]]
    closest: Sequence[tuple[str, str, float]]
    pairs: int


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a run.

    Attributes:
        run: Its name.
        own: What the tasks' prototypes are means of; None where there are none.
        map: All embeddings; None where there are none.
        cosines: Between prototypes; None of a single task.
        retrievals: By what was embedded, what it is taken for among the prototypes.
        left_out: What could not be embedded, and why.
    """

    run: str
    own: str | None
    map: TaskMap | None
    cosines: Cosines | None
    retrievals: Mapping[str, Retrieval]
    left_out: Sequence[str]


def embeddings(run: Run) -> Embeddings | None:
    """The embeddings of a run; None where its policy is gone, or is not told its task."""
    if run.policy is None or not run.told:
        return None
    policy = run.policy.policy
    found = told(run, policy)
    title, own = found.own or (None, {})
    kernel = prototypes(_stacked(own))
    return Embeddings(
        run=run.name,
        own=title,
        map=task_map(found.every, policy.spec.task_names) if found.every else None,
        cosines=_cosines(kernel) if len(kernel) > 1 else None,
        retrievals=_retrievals(found.others, kernel),
        left_out=found.left_out,
    )


def _retrievals(others: Mapping[str, Descriptors], among: Mapping[str, Tensor]) -> dict[str, Retrieval]:
    """Of the tasks that have a prototype."""
    z = {
        title: {task: each for task, each in _stacked(group).items() if task in among}
        for title, group in others.items()
    }
    return {title: retrieve(each, among) for title, each in z.items() if each}


def _cosines(kernel: Mapping[str, Tensor]) -> Cosines:
    tasks = list(kernel)
    z = torch.stack(list(kernel.values())).double().numpy()
    table: Float[np.ndarray, "T T"] = cosines(z, z)
    pairs = [(tasks[i], tasks[j], float(table[i, j])) for i, j in combinations(range(len(tasks)), 2)]
    return Cosines(
        tasks=tasks,
        rows=table.tolist() if len(tasks) <= _TABLE else [],
        closest=sorted(pairs, key=lambda pair: -pair[2])[:_PAIRS],
        pairs=len(pairs),
    )


def _stacked(group: Descriptors) -> dict[str, Tensor]:
    return {task: torch.stack([each.z for each in some]) for task, some in group.items()}
