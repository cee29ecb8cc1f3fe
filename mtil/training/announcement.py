"""What a person is told before a training begins: data, sizes, and what is told or shared out in which way."""

from rich import box
from rich.console import Console
from rich.table import Table
from torch import nn

from mtil.data.datamodule import DemoDataModule
from mtil.policies.policy import Policy
from mtil.training.config import ExperimentConfig
from mtil.training.parameters import parameter_table


def announce(config: ExperimentConfig, data: DemoDataModule, policy: Policy, console: Console) -> None:
    """Tell what is trained on what."""
    names = data.store.spec.task_names
    what = _tasks(data) if config.data.stream is None else f"of a stream's first portion: {_tasks(data)}"
    console.print(
        f"{what}, {len(data.store.length)} demos, {len(data.train)} training and "
        f"{len(data.validation)} validation windows; {parameter_counts(policy)}; {config.policy.head.kind} head, "
        f"conditioned on {', '.join(policy.kinds)}"
    )
    for table in (dataset_table(data), parameter_table(policy, config.optimizer)):
        if table is not None:
            console.print(table)
    for kind, tasks in data.train.lacking.items():
        if tasks:
            console.print(f"told otherwise than by {kind}, which they lack: {', '.join(names[task] for task in tasks)}")


def dataset_table(data: DemoDataModule) -> Table | None:
    """By dataset of several: what there is of it, its share of each batch, and which observations it has not."""
    spec = data.store.spec
    if not spec.embodiments:
        return None
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("dataset")
    for title in ("tasks", "demos", "of each batch"):
        table.add_column(title, justify="right")
    table.add_column("has no")
    whole = sum(data.task_weights)
    for each in spec.embodiments:
        own = [spec.position(task) for task in each.tasks]
        demos = sum(int((data.store.task == task).sum()) for task in own)
        share = sum(data.task_weights[task] for task in own) / whole
        lacking = [feature.key for feature in spec.observations if feature.key not in each.keys]
        table.add_row(each.name, str(len(own)), f"{demos:,}", f"{share:.1%}", ", ".join(lacking))
    return table


def _tasks(data: DemoDataModule) -> str:
    """How many there are, and of how many there are demonstrations, if not of all."""
    known, shown = len(data.store.spec.tasks), len(data.store.task.unique())
    return f"{known} tasks" if known == shown else f"{shown} of {known} tasks"


def parameter_counts(policy: Policy) -> str:
    """How many parameters are trained, how many of these serve to see, and how many more are frozen."""
    trained, frozen = _count(policy, trained=True), _count(policy, trained=False)
    seeing = _count(policy.observation_encoder, trained=True)
    told = [f"{trained:,} parameters", f"{seeing:,} of them to see" if seeing else "", f"{frozen:,} frozen"]
    return ", ".join(part for part in told[: 3 if frozen else 2] if part)


def _count(module: nn.Module, *, trained: bool) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad == trained)
