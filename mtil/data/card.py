"""The dataset card: what a dataset on the Hub holds, and how to use it."""

from collections.abc import Iterator, Sequence

from mtil import __version__
from mtil.data.defects import ACTIONS
from mtil.data.survey import Survey
from mtil.types import FeatureSpec

_HEADER = """---
task_categories: [robotics]
tags: [{tags}]
{configs}---
"""
_TABLES = """configs:
- config_name: default
  data_files: data/*/*.parquet
"""


def dataset_card(name: str, surveys: Sequence[Survey], *, lerobot: bool) -> str:
    """The card, in Markdown, with a header that the Hub reads. Of a licence it says nothing: that is the owner's.

    Args:
        name: Of the dataset on the Hub.
        surveys: What its tasks hold.
        lerobot: Whether it is a LeRobot dataset, v3.0; else it is of HDF5 files, one a task.
    """
    tags = [*(["LeRobot"] if lerobot else []), "mtil", "imitation-learning", "multi-task"]
    header = _HEADER.format(tags=", ".join(tags), configs=_TABLES if lerobot else "")
    demos, steps = (sum(each) for each in zip(*map(_counts, surveys), strict=True))
    kind = "a LeRobot dataset, v3.0" if lerobot else "robomimic-style HDF5 files, one a task"
    sections = [
        f"# {name}",
        f"Demonstrations for imitation learning: {_plural(len(surveys), 'task')}, {_plural(demos, 'demonstration')}, "
        f"{_plural(steps, 'step')}; {kind}. Described by mtil {__version__}.",
        f"## Use\n\n    mtil inspect {name}\n    mtil train PRESET data.path={name} collection=null",
        "## Features\n\n| key | kind | shape |\n|---|---|---|\n" + "\n".join(_features(surveys)),
        "## Tasks\n\n| task | demonstrations | steps | in words |\n|---|---:|---:|---|\n"
        + "\n".join(map(_task, surveys)),
    ]
    return header + "\n" + "\n\n".join(sections) + "\n"


def _counts(survey: Survey) -> tuple[int, int]:
    return len(survey.lengths), sum(survey.lengths.values())


def _plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def _features(surveys: Sequence[Survey]) -> Iterator[str]:
    """A row for each feature; where tasks differ, of each shape."""
    for key in dict.fromkeys(key for survey in surveys for key in survey.features):
        found = [survey.features[key] for survey in surveys if key in survey.features]
        kind = "action" if key == ACTIONS else found[0].kind
        yield f"| `{key}` | {kind} | {', '.join(dict.fromkeys(map(_shape, found)))} |"


def _shape(feature: FeatureSpec) -> str:
    return " x ".join(map(str, feature.shape))


def _task(survey: Survey) -> str:
    demos, steps = _counts(survey)
    told = " ".join(survey.task.instructions[0].split()) if survey.task.instructions else ""
    return f"| {_cell(survey.task.name)} | {demos:,} | {steps:,} | {_cell(told)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
