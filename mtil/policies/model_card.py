"""The model card of an exported policy: what it is, how to use it, how often it succeeds."""

from collections.abc import Iterator

from mtil import __version__
from mtil.encoders.config import encoder_parts
from mtil.policies.card import Card
from mtil.types import FeatureSpec

_HEADER = """---
library_name: mtil
pipeline_tag: robotics
tags: [robotics, imitation-learning, behavior-cloning, multi-task]
---
"""


def model_card(name: str, card: Card, *, step: int, success: str | None) -> str:
    """The card, in Markdown, with a header that the Hub reads.

    Args:
        name: What to call the policy.
        card: What it is.
        step: Optimiser steps that it was trained for.
        success: How often it succeeds, in Markdown; None: it has not been evaluated.
    """
    sections = [
        f"# {name}\n\n{_summary(card, step)}",
        f"## Use\n\n{_use(name)}",
        f"## Success\n\n{success or 'It has not been evaluated.'}",
        "## What it sees and does\n\n" + "\n".join(_features(card)),
        "## Tasks\n\n" + "\n".join(_tasks(card)),
    ]
    return _HEADER + "\n" + "\n\n".join(sections) + "\n"


def _summary(card: Card, step: int) -> str:
    kinds, count = ", ".join(encoder_parts(card.config.task_encoder)), len(card.spec.tasks)
    tasks = "one task" if count == 1 else f"{count} tasks"
    suite = f", which the suite `{card.suite}` holds" if card.suite else ""
    return (
        f"One policy for {tasks}{suite}, told which one by: {kinds}. Trained from demonstrations by behaviour cloning "
        f"for {step:,} steps with mtil {__version__}; these are the averaged weights."
    )


def _use(name: str) -> str:
    return (
        f"    mtil evaluate {name}\n    mtil finetune {name} --data DEMONSTRATIONS\n\n"
        "```python\nfrom mtil.policies.policy import Policy\n\n"
        f'policy = Policy.from_pretrained("{name}")\n```'
    )


def _features(card: Card) -> Iterator[str]:
    spec, config = card.spec, card.config
    yield "| | key | shape |\n|---|---|---|"
    for feature in spec.observations:
        yield f"| {feature.kind} | `{feature.key}` | {_shape(feature)} |"
    yield f"| action | `{spec.action.key}` | {_shape(spec.action)} |"
    yield f"\nIt sees the last {config.history} observation(s), and predicts the next {config.chunk} action(s)."


def _shape(feature: FeatureSpec) -> str:
    return " x ".join(map(str, feature.shape))


def _tasks(card: Card) -> Iterator[str]:
    for task in card.spec.tasks:
        yield f"- `{task.name}`" + (f": {task.instructions[0]}" if task.instructions else "")
