"""The policy that a fine-tuning starts from: checked, taken over, and told what became of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from mtil.data.datamodule import DemoDataModule
from mtil.errors import CheckpointError, DatasetError, unknown
from mtil.policies.checkpoint import LoadedPolicy, load_policy
from mtil.policies.parts import part_name
from mtil.policies.policy import Policy
from mtil.policies.transfer import Transfer, transfer
from mtil.training.config import ExperimentConfig, StartConfig
from mtil.types import DatasetSpec


def starting_policy(start: StartConfig) -> LoadedPolicy:
    """The policy named.

    Raises:
        CheckpointError: There is none, or it is damaged.
    """
    try:
        return load_policy(Path(start.policy))
    except CheckpointError as error:
        raise CheckpointError(f"start.policy: {error}") from None


def started_from(source: LoadedPolicy, config: ExperimentConfig, data: DemoDataModule, console: Console) -> Policy:
    """A policy for the data that has everything of an earlier one that fits; the console is told what has not.

    Raises:
        CheckpointError: A task seems to have been renamed.
        DatasetError: A task to be rehearsed is none of the policy's.
        MtilError: The configuration does not fit the data, or a pretrained model is missing.
    """
    assert config.start is not None, "there is something to start from"
    before, tasks = source.card.spec, [data.store.spec.task_names[i] for i in data.store.task.unique().tolist()]
    _check_rehearsed(before, data.store.rehearsed)
    start = config.start
    if start.parts is None:
        _check_names(before, data.store.spec)
    found = transfer(
        source.policy,
        config.policy,
        data.store.spec,
        data.statistics,
        own=data.own_statistics,
        shown=tasks,
        normalization=start.normalization,
        parts=start.parts,
    )
    told = (
        _joining(before, tasks, data) if start.parts is None else [f"of which {', '.join(start.parts)} is taken over"]
    )
    console.print(f"starting from [bold]{source.path}[/bold], step {source.step:,}, {', '.join(told)}")
    console.print(_table(found))
    return found.policy


def _check_rehearsed(before: DatasetSpec, rehearsed: Sequence[str]) -> None:
    for task in rehearsed:
        if task not in before.task_names:
            found = unknown("task of the policy", task, before.task_names)
            raise DatasetError(f"data.rehearsal: {found}; a new task belongs in data.path")


def _check_names(before: DatasetSpec, now: DatasetSpec) -> None:
    """Two tasks that are told alike are one that was renamed, or no policy could tell them apart."""
    known: dict[str, list[str]] = {}
    for task in before.tasks:
        for sentence in task.instructions:
            known.setdefault(sentence, []).append(task.name)
    for task in now.tasks:
        for sentence in task.instructions:
            others = known.get(sentence, [task.name])
            if task.name not in others and now.simulated(task.name) not in map(now.simulated, others):
                raise CheckpointError(
                    f"task {task.name!r}: told by {sentence!r}, as the policy's task {others[0]!r} is; give it that "
                    "name if it is the same (tasks are matched by name), or another sentence if it is not"
                )


def _joining(before: DatasetSpec, tasks: Sequence[str], data: DemoDataModule) -> Iterator[str]:
    """Which tasks are new, and what becomes of those that are not."""
    new = [task for task in tasks if task not in before.task_names]
    again = [task for task in tasks if task in before.task_names and task not in data.store.rehearsed]
    yield f"which knows {len(before.tasks)} tasks; new: {', '.join(new) or 'none'}"
    if again:
        yield f"with demonstrations of its own {', '.join(again)}"
    cameras = {feature.key: feature.camera for feature in data.store.spec.observations if feature.camera}
    for feature in before.observations:
        if feature.camera not in (None, cameras.get(feature.key, feature.camera)):
            yield f"{feature.key} shows something else than it did: {cameras[feature.key]}, not {feature.camera}"
    if data.store.rehearsed:
        yield f"{len(data.store.rehearsed)} are rehearsed"
    without = len(set(before.task_names) - set(tasks))
    if without:
        yield f"{without} of its own are not: it may forget them"


def _table(found: Transfer) -> Table:
    """By part of the policy, how much was taken over, and why not the rest."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("part")
    table.add_column("taken over", justify="right")
    table.add_column("new", justify="right")
    table.add_column("why")
    sizes = {name: tensor.numel() for name, tensor in found.policy.state_dict().items()}
    parts = list(dict.fromkeys(map(part_name, sizes)))
    for part in parts:
        taken = sum(found.partly.get(name, sizes[name]) for name in found.taken if part_name(name) == part)
        new = sum(sizes[name] - found.partly.get(name, 0) for name in found.new if part_name(name) == part)
        why = dict.fromkeys(reason for name, reason in found.new.items() if part_name(name) == part)
        table.add_row(part, f"{taken:,}", f"{new:,}", "; ".join(why))
    if found.unused:
        table.add_row(
            "", "", "", f"not used of the earlier policy: {', '.join(dict.fromkeys(map(part_name, found.unused)))}"
        )
    return table
