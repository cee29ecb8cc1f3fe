"""What was trained, in a line of facts."""

from dataclasses import dataclass
from pathlib import Path

from mtil.data.formats import demo_counts
from mtil.errors import MtilError
from mtil.evaluation.metrics import MeanResult
from mtil.report.run import Run, setting
from mtil.report.subject import Subject


@dataclass(frozen=True)
class Headline:
    """A subject's mean success, over all seeds and of each, and what it is: facts, each what it counts and how many."""

    name: str
    mean: MeanResult
    seeds: tuple[float, ...]
    successes: int
    episodes: int
    facts: tuple[tuple[str, str], ...]


def headline(subject: Subject) -> Headline:
    """The subject in short."""
    rates, run = subject.rates, subject.runs[0]
    facts = {
        "tasks": str(len(rates.tasks)),
        "demonstrations": _demonstrations(run),
        "steps of training": _number(run.result.protocol.step or setting(run.config, "trainer", "max_steps")),
        "parameters": _parameters(run),
        "head": setting(run.config, "policy", "head", "kind"),
        "told by": setting(run.config, "policy", "task_encoder", "kind"),
    }
    return Headline(
        name=subject.name,
        mean=rates.mean,
        seeds=rates.seeds,
        successes=sum(task.successes for task in rates.tasks.values()),
        episodes=sum(task.episodes for task in rates.tasks.values()),
        facts=tuple((name, str(value)) for name, value in facts.items() if value),
    )


def _number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def _parameters(run: Run) -> str | None:
    """Those that are trained; None where the checkpoint is gone."""
    if run.policy is None:
        return None
    return f"{sum(each.numel() for each in run.policy.policy.parameters() if each.requires_grad):,}"


def _demonstrations(run: Run) -> str | None:
    """As many as the dataset holds; None where it is gone."""
    try:
        counts = demo_counts(Path(str(setting(run.config, "data", "path"))))
        tasks = setting(run.config, "data", "tasks") or counts
        return f"{sum(count for task, count in counts.items() if task in tasks):,}"
    except (MtilError, OSError, KeyError):
        return None
