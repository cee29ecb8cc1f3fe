"""What tells a run's policy its tasks, and the embeddings that it makes of that: names, sentences, clips."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mtil.data.kinds import DescriptorKind
from mtil.errors import CheckpointError, MtilError
from mtil.evaluation.aiming import demonstrated
from mtil.evaluation.conditioning import Descriptors, descriptors, read_instructions
from mtil.evaluation.run_data import run_data
from mtil.evaluation.showing import demonstrations
from mtil.policies.policy import Policy
from mtil.report.run import Run

_CLIPS = 20  # of a task, and so many goals: enough to tell what they are taken for
_TITLES = {"one_hot": "names", "language": "sentences of the training", "video": "clips of the training"}
_HELD_OUT = "held-out clips"
_GOALS = "goals of held-out demonstrations"


@dataclass(frozen=True)
class Told:
    """Everything that can be told to a policy.

    Attributes:
        own: What it was trained on, in the kind that it is told in by default: `others` are looked up among these.
        others: By title.
        left_out: What could not be read or embedded, and why.
    """

    own: tuple[str, Descriptors] | None
    others: dict[str, Descriptors]
    left_out: list[str]

    @property
    def every(self) -> dict[str, Descriptors]:
        """All, by title."""
        return (dict([self.own]) if self.own else {}) | self.others


def told(run: Run, policy: Policy) -> Told:
    """What can be told to a run's policy, each title's tasks in the order of the vocabulary."""
    found: dict[str, Descriptors] = {}
    left_out: list[str] = []
    for title, embedded in _sources(run, policy):
        try:
            found[title] = {task: each for task, each in embedded().items() if each}
            if not found[title]:
                left_out.append(f"{title}: there are none")
        except MtilError as error:
            left_out.append(f"{title}: {error}")
    found = {title: each for title, each in found.items() if each}
    title = _TITLES.get(policy.default_kind, "")
    own = found.pop(title, None)
    return Told(None if own is None else (title, own), found, left_out)


def _sources(run: Run, policy: Policy) -> Iterator[tuple[str, Callable[[], Descriptors]]]:
    for kind in policy.kinds:
        match kind:
            case "video":
                if policy.default_kind == kind:
                    yield _TITLES[kind], partial(_shown, run, policy, trained=True)
                yield _HELD_OUT, partial(_shown, run, policy, trained=False)
            case "goal":
                yield _GOALS, partial(_aimed, run, policy)
            case _:
                yield _TITLES.get(kind, kind), partial(_trained, policy, kind)
    if "language" in policy.kinds:
        for file in run.rephrased:
            yield f"sentences of {file}", partial(_rephrased, policy, Path(file))


def _trained(policy: Policy, kind: DescriptorKind) -> Descriptors:
    match kind:
        case "one_hot":
            return descriptors(policy, kind, policy.spec.task_names)
        case "language":
            return descriptors(policy, kind, [task.name for task in policy.spec.tasks if task.instructions])
        case _:
            raise CheckpointError("no descriptor of this kind stands for a task")


def _shown(run: Run, policy: Policy, *, trained: bool) -> Descriptors:
    data = run_data(policy, run.path)
    clips = demonstrations(policy, data, policy.spec.task_names, trained=trained, most=_CLIPS)
    there = {task: each for task, each in clips.items() if each}
    return descriptors(policy, "video", list(there), showing=there)


def _aimed(run: Run, policy: Policy) -> Descriptors:
    return demonstrated(policy, run_data(policy, run.path), most=_CLIPS)


def _rephrased(policy: Policy, file: Path) -> Descriptors:
    sentences = read_instructions(file)
    known = [task for task in policy.spec.task_names if task in sentences]
    return descriptors(policy, "language", known, instructions={task: sentences[task] for task in known})
