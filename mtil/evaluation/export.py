"""A trained policy as an export, its model card telling how often it succeeded."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from mtil.evaluation.digest import weights_digest
from mtil.evaluation.metrics import EvaluationResult, MeanResult, TaskResult
from mtil.evaluation.results import results_of
from mtil.policies.checkpoint import LoadedPolicy, load_policy
from mtil.policies.export import write_export


def export(path: Path, folder: Path, *, name: str | None = None) -> None:
    """Write the averaged weights of a checkpoint as an export.

    Args:
        path: A run directory or a checkpoint.
        folder: Where to; it must not exist, or be empty.
        name: What the model card calls it; None: as the folder.

    Raises:
        CheckpointError: No policy is there.
        OutputError: The folder is taken, or cannot be written.
    """
    loaded = load_policy(path)
    write_export(
        folder,
        card=loaded.card,
        state=loaded.policy.state_dict(),
        step=loaded.step,
        success="\n\n".join(map(success_table, _results(loaded))) or None,
        training=None if loaded.training is None else loaded.training.read_text(encoding="utf-8"),
        name=name,
    )


def success_table(result: EvaluationResult) -> str:
    """Success rates with their intervals and the protocol, in Markdown."""
    how = result.protocol
    told = "" if how.clips is None else f", {how.clips} clips of {how.videos or 'demonstrations held out'}"
    lines = [
        f"`{how.suite}`, told by {how.condition}{told}: {how.episodes_per_task} episodes a task from placements that "
        f"no demonstration starts from (seed {how.seed}); success is {how.success}, within {how.horizon} steps.",
        "",
        "| task | success % | 95% interval |\n|---|---|---|",
        *_rows(result.tasks, result.mean),
    ]
    return "\n".join(lines)


def _rows(tasks: Sequence[TaskResult], mean: MeanResult) -> Iterator[str]:
    for task in tasks:
        yield f"| {task.task} | {_percent(task.rate)} | {_percent(task.low)} - {_percent(task.high)} |"
    yield f"| **mean** | **{_percent(mean.rate)}** | {_percent(mean.low)} - {_percent(mean.high)} |"


def _results(loaded: LoadedPolicy) -> list[EvaluationResult]:
    """The evaluations of these very weights, told as in training; the first of each kind with the most episodes."""
    if loaded.run is None:
        return []
    digest = weights_digest(loaded.policy)
    found: dict[str, EvaluationResult] = {}
    for result in results_of(loaded.run).values():
        how = result.protocol
        if how.weights == digest and how.told_as_trained and how.replay is None:
            best = found.setdefault(how.condition, result)
            found[how.condition] = max(best, result, key=lambda each: len(each.outcomes))
    return list(found.values())


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f}"
