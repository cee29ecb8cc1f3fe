"""What a fine-tuning gained in tasks that were new to it, and lost in those that it knew.

Legend: S seeds of a training, T tasks, P placements of each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool

from mtil.evaluation.metrics import EvaluationProtocol, MeanResult
from mtil.evaluation.paired import Difference, mean_difference, mean_rate


@dataclass(frozen=True)
class GroupChange:
    """Mean success over some tasks, before and after.

    Attributes:
        tasks: Their names.
        before: Of the policy that was not yet trained on the new tasks.
        after: Of the one that was.
        change: After less before.
    """

    tasks: tuple[str, ...]
    before: MeanResult
    after: MeanResult
    change: Difference


@dataclass(frozen=True)
class TransferResult:
    """Before and after a fine-tuning, at the same placements.

    Attributes:
        after: Which side was trained on the new tasks, `"a"` or `"b"`.
        new: Tasks that only that one was trained on.
        known: Tasks that both were, if any of these were evaluated.
        forgetting: Before less after, over the tasks that both were trained on.
    """

    after: Literal["a", "b"]
    new: GroupChange
    known: GroupChange | None
    forgetting: Difference | None


def transfer_result(
    names: Sequence[str],
    protocols: tuple[Sequence[EvaluationProtocol], Sequence[EvaluationProtocol]],
    successes: tuple[Bool[np.ndarray, "_ T P"], Bool[np.ndarray, "_ T P"]],
) -> TransferResult | None:
    """The result of a fine-tuning, where of two sides one was trained on tasks that the other was not.

    Args:
        names: Of the tasks.
        protocols: Of A's and of B's results.
        successes: A's and B's.
    """
    untrained = [{task for how in side for task in how.untrained or ()} for side in protocols]
    after = 0 if untrained[1] - untrained[0] else 1
    fresh, either = untrained[1 - after] - untrained[after], untrained[0] | untrained[1]
    if not fresh or untrained[after] - untrained[1 - after]:
        return None
    then, now = successes[1 - after], successes[after]

    def group(rows: list[int]) -> GroupChange:
        return GroupChange(
            tasks=tuple(names[row] for row in rows),
            before=mean_rate(then[:, rows]),
            after=mean_rate(now[:, rows]),
            change=mean_difference(now[:, rows], then[:, rows]),
        )

    old = [row for row, name in enumerate(names) if name not in either]
    return TransferResult(
        after="b" if after else "a",
        new=group([row for row, name in enumerate(names) if name in fresh]),
        known=group(old) if old else None,
        forgetting=mean_difference(then[:, old], now[:, old]) if old else None,
    )
