"""Two policies on the same placements, and several trainings of one policy as one.

Legend: S seeds of a training, T tasks, P placements of each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from mtil.errors import CheckpointError
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, MeanResult, TaskResult
from mtil.evaluation.paired import Difference, holm, mean_difference, mean_rate
from mtil.evaluation.transfer import TransferResult, transfer_result


@dataclass(frozen=True)
class PooledResult:
    """Success of one policy over the seeds of its training, each weighing the same.

    The intervals are over placements and, if there are several, over seeds.

    Attributes:
        tasks: Each task's row, episodes and successes of all seeds together.
        mean: Mean over these tasks.
        mean_of_such_tasks: The same with an interval over the tasks too, as if drawn from many; None for one task.
        seeds: Mean over the tasks of each seed.
    """

    tasks: tuple[TaskResult, ...]
    mean: MeanResult
    mean_of_such_tasks: MeanResult | None
    seeds: tuple[float, ...]


@dataclass(frozen=True)
class Side:
    """One of the two that are compared.

    Attributes:
        files: Where its results came from.
        protocols: How each was measured.
        rates: Its success.
    """

    files: tuple[Path, ...]
    protocols: tuple[EvaluationProtocol, ...]
    rates: PooledResult


@dataclass(frozen=True)
class Discordance:
    """Of the episodes from the same placements, how many only A, and only B, succeeded in."""

    a_only: int
    b_only: int


@dataclass(frozen=True)
class TaskComparison:
    """One task's row.

    Attributes:
        task: Name of the task.
        a: A's rate, in [0, 1].
        b: B's.
        difference: A's less B's.
        adjusted_p: The difference's p, adjusted for the number of tasks.
        discordance: Over the placements, if there is one seed on each side.
    """

    task: str
    a: float
    b: float
    difference: Difference
    adjusted_p: float
    discordance: Discordance | None


@dataclass(frozen=True)
class Comparison:
    """A beside B.

    Attributes:
        a: The first.
        b: The second, to be subtracted.
        tasks: In the suite's order.
        mean: Mean difference over these tasks.
        mean_of_such_tasks: The same with an interval over the tasks too, as if drawn from many; None for one task.
        discordance: Over all tasks, if there is one seed on each side.
        transfer: What was gained and lost, if one side was trained on tasks that the other was not.
    """

    a: Side
    b: Side
    tasks: tuple[TaskComparison, ...]
    mean: Difference
    mean_of_such_tasks: Difference | None
    discordance: Discordance | None
    transfer: TransferResult | None


def compare(a: Mapping[Path, EvaluationResult], b: Mapping[Path, EvaluationResult]) -> Comparison:
    """Compare two policies, each given as the results of one or more seeds of its training, by file.

    Raises:
        CheckpointError: The results are not of the same placements, or those of a side not of one way of telling.
    """
    for side in (a, b):
        _check_seeds([(str(path), result) for path, result in side.items()])
    check_paired([(str(path), result) for path, result in [*a.items(), *b.items()]])
    first, second = _successes([*a.values()]), _successes([*b.values()])
    names = [task.task for task in next(iter(a.values())).tasks]
    several = len(names) > 1
    return Comparison(
        a=_side(a),
        b=_side(b),
        tasks=tuple(_tasks(names, first, second)),
        mean=mean_difference(first, second),
        mean_of_such_tasks=mean_difference(first, second, tasks_vary=True) if several else None,
        discordance=_discordance(first, second),
        transfer=transfer_result(names, (_protocols(a), _protocols(b)), (first, second)),
    )


def pooled(results: Sequence[EvaluationResult]) -> PooledResult:
    """Success over several seeds of one training, one at least, evaluated on the same placements.

    For one seed, tasks and mean are those of its result.

    Raises:
        CheckpointError: The results are not of the same placements, or not told in the same way.
    """
    named = [(_name(result.protocol), result) for result in results]
    _check_seeds(named)
    check_paired(named)
    successes = _successes(results)
    names = [task.task for task in results[0].tasks]
    return PooledResult(
        tasks=tuple(_task(name, results, successes[:, [index]]) for index, name in enumerate(names)),
        mean=mean_rate(successes),
        mean_of_such_tasks=mean_rate(successes, tasks_vary=True) if len(names) > 1 else None,
        seeds=tuple(successes.mean(axis=(1, 2)).tolist()),
    )


def check_paired(results: Sequence[tuple[str, EvaluationResult]]) -> None:
    """Whether all were evaluated on the same placements; each is named for what an error is to call it.

    Raises:
        CheckpointError: They were not.
    """
    (name, first), *others = results
    for other, result in others:
        for what, ours, theirs in _terms(first, result):
            if ours != theirs:
                raise CheckpointError(
                    f"{name} and {other}: expected the same placements, found {what}: {ours} and {theirs}; "
                    "evaluate both with the same --suite, --seed, --tasks and --episodes"
                )


def _terms(first: EvaluationResult, second: EvaluationResult) -> Iterator[tuple[str, object, object]]:
    """What must agree, coarsest first: its name, and its value in both."""
    ours, theirs = first.protocol, second.protocol
    yield "suite", ours.suite, theirs.suite
    yield f"what {ours.suite} said (its digest)", ours.suite_digest, theirs.suite_digest
    yield "seed", ours.seed, theirs.seed
    yield "success rule", ours.success, theirs.success
    yield "horizon", ours.horizon, theirs.horizon
    yield "tasks that the other lacks", _missing(second, first), _missing(first, second)
    yield "episodes a task", ours.episodes_per_task, theirs.episodes_per_task
    for mine, other in zip(first.outcomes, second.outcomes, strict=False):
        yield f"episode {mine.episode} of {mine.task} from placement", mine.placement, other.placement


def _missing(result: EvaluationResult, other: EvaluationResult) -> str:
    """The other's tasks that this result lacks."""
    known = {task.task for task in result.tasks}
    return ", ".join(task.task for task in other.tasks if task.task not in known) or "none"


def _check_seeds(results: Sequence[tuple[str, EvaluationResult]]) -> None:
    """Seeds of one training are told alike, and are not one policy given twice."""
    (name, first), *others = results
    for other, result in others:
        for what in ("condition", "control", "instructions", "videos", "clips"):
            ours, theirs = getattr(first.protocol, what), getattr(result.protocol, what)
            if ours != theirs:
                raise CheckpointError(f"{name} and {other}: not seeds of one training: {what} {ours} and {theirs}")
    for index, (name, result) in enumerate(results):
        for other, earlier in results[:index]:
            if result.protocol.weights is not None and result.protocol.weights == earlier.protocol.weights:
                raise CheckpointError(
                    f"{other} and {name}: expected trainings of different seeds, found the same weights"
                )


def _name(protocol: EvaluationProtocol) -> str:
    """What to call a result that has no file."""
    control = f", control {protocol.control}" if protocol.control else ""
    return protocol.checkpoint + control + (f", told by {protocol.instructions}" if protocol.instructions else "")


def _successes(results: Sequence[EvaluationResult]) -> Bool[np.ndarray, "S T P"]:
    return np.array([[outcome.success for outcome in result.outcomes] for result in results]).reshape(
        len(results), len(results[0].tasks), -1
    )


def _side(results: Mapping[Path, EvaluationResult]) -> Side:
    return Side(
        files=tuple(results),
        protocols=_protocols(results),
        rates=pooled([*results.values()]),
    )


def _protocols(results: Mapping[Path, EvaluationResult]) -> tuple[EvaluationProtocol, ...]:
    return tuple(result.protocol for result in results.values())


def _task(name: str, results: Sequence[EvaluationResult], successes: Bool[np.ndarray, "S 1 P"]) -> TaskResult:
    lengths = [task.mean_length for result in results for task in result.tasks if task.task == name]
    rate = mean_rate(successes)
    return TaskResult(
        task=name,
        episodes=successes.size,
        successes=int(successes.sum()),
        rate=rate.rate,
        low=rate.low,
        high=rate.high,
        mean_length=sum(lengths) / len(lengths),
    )


def _tasks(
    names: Sequence[str], a: Bool[np.ndarray, "_ T P"], b: Bool[np.ndarray, "_ T P"]
) -> Iterator[TaskComparison]:
    columns = [(a[:, [index]], b[:, [index]]) for index in range(len(names))]
    differences = [mean_difference(first, second) for first, second in columns]
    adjusted = holm([difference.p for difference in differences])
    for name, (first, second), difference, p in zip(names, columns, differences, adjusted, strict=True):
        yield TaskComparison(
            task=name,
            a=float(first.mean()),
            b=float(second.mean()),
            difference=difference,
            adjusted_p=p,
            discordance=_discordance(first, second),
        )


def _discordance(a: Bool[np.ndarray, "_ T P"], b: Bool[np.ndarray, "_ T P"]) -> Discordance | None:
    if len(a) > 1 or len(b) > 1:
        return None
    return Discordance(a_only=int((a & ~b).sum()), b_only=int((b & ~a).sum()))
