"""What tells a policy its tasks in an evaluation.

Legend: Z width of z.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mtil.config import read_yaml
from mtil.errors import CheckpointError, ConfigError, SimulatorError, unknown
from mtil.evaluation.residence import ordered, residents
from mtil.evaluation.showing import Showing, Shown
from mtil.policies.policy import Policy
from mtil.sim.base import Simulator


@dataclass(frozen=True)
class Descriptor:
    """What tells a policy its task: in words (a sentence or a name), and as the embedding z that it acts on."""

    words: str
    z: Float[Tensor, " Z"]


@runtime_checkable
class Turns(Protocol):
    """What tells the episodes of a task, in turns: made beforehand, as in a list, or when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, turn: int, /) -> Descriptor: ...

    def __iter__(self) -> Iterator[Descriptor]: ...


Descriptors = Mapping[str, Turns]
"""By task, what tells it."""


def common_tasks(policy: Policy, simulator: Simulator, wanted: Sequence[str] | None, kind: str) -> list[str]:
    """The tasks to evaluate: those wanted, or all of the suite that the policy was trained on.

    Args:
        policy: The policy.
        simulator: The suite.
        wanted: Names that the policy has for them; tasks that it was not trained on are among them only if it can be
            told them.
        kind: Kind of descriptor.

    Raises:
        SimulatorError: A wanted task is not in the suite, or policy and suite have none in common.
        CheckpointError: A wanted task is not in the policy's vocabulary, and cannot be told in this kind.
    """
    suite, known = [task.name for task in simulator.tasks()], policy.spec.task_names
    for task in wanted or ():
        if policy.spec.simulated(task) not in suite:
            valid = dict.fromkeys([*residents(policy.spec, simulator), *suite])
            raise SimulatorError(f"{simulator.name}: {unknown('task', task, valid)}")
        if task not in known and kind == "one_hot":
            raise CheckpointError(f"the policy was not trained on {task!r}; {unknown('task', task, known)}")
        if task not in known and len(policy.spec.embodiments) > 1:
            names = ", ".join(each.name for each in policy.spec.embodiments)
            raise CheckpointError(
                f"the policy was not trained on {task!r}, and cannot know by which dataset's statistics its numbers "
                f"are normalised; its own tasks are of {names}"
            )
        differ = [key for key, widths in policy.spec.widths.items() if len({*widths}) > 1]
        if task not in known and differ:
            raise CheckpointError(
                f"the policy was not trained on {task!r}, and cannot know its size: its own tasks differ in the "
                f"dimensions of {', '.join(differ)}"
            )
    chosen = residents(policy.spec, simulator) if wanted is None else ordered(wanted, policy.spec, simulator)
    if not chosen:
        raise SimulatorError(f"{simulator.name}: none of the policy's tasks ({', '.join(known)}) is in this suite")
    return chosen


@torch.inference_mode()
def descriptors(
    policy: Policy,
    kind: str,
    tasks: Sequence[str],
    *,
    instructions: Mapping[str, Sequence[str]] | None = None,
    untrained: Mapping[str, Sequence[str]] | None = None,
    showing: Showing | None = None,
    clips: int = 1,
    goals: Descriptors | None = None,
) -> Descriptors:
    """Descriptors of each task: one for its name, one for each sentence that tells it, one for each clip that shows it
    and those that follow upon it, one for each episode's goal, or one that says nothing.

    Args:
        policy: The policy.
        kind: Kind of descriptor.
        tasks: Their names.
        instructions: Sentences to use in place of those that the policy was trained on.
        untrained: Sentences of tasks that it was not trained on.
        showing: Clips of each task, needed where the kind is `video`.
        clips: How many of them make a z, which is their mean.
        goals: Of each task's episodes, needed where the kind is `goal`.

    Raises:
        CheckpointError: The policy does not take this kind.
        ConfigError: Sentences are given for a kind that takes none, or lack a task.
    """
    policy.require(kind)
    if instructions is not None and kind != "language":
        raise ConfigError(f"instructions are given, but the policy is conditioned on {kind}; expected language")
    if kind == "video":
        assert showing is not None, "clips show a policy its tasks"
        return {task: _shown(policy, showing[task], clips) for task in tasks}
    if kind == "goal":
        assert goals is not None, "episodes have goals"
        return {task: goals[task] for task in tasks}
    told = {task: _told(policy, kind, task, instructions, untrained or {}) for task in tasks}
    everything = list(dict.fromkeys([*_vocabulary(policy, kind, instructions), *chain.from_iterable(told.values())]))
    # Matrix kernels round differently by batch size: z must not depend on which tasks are evaluated.
    embedded = dict(zip(everything, policy.embed(kind, everything), strict=True))
    return {task: [Descriptor(words, embedded[words]) for words in each] for task, each in told.items()}


def read_instructions(path: Path) -> dict[str, list[str]]:
    """Sentences by task, from a YAML file `{task: [sentence, ...]}`.

    Raises:
        ConfigError: The file does not hold that.
    """
    found = read_yaml(path)
    if not isinstance(found, dict) or not found:
        raise ConfigError(f"{path}: expected {{task: [sentence, ...]}}, found {type(found).__name__}")
    for task, sentences in found.items():
        if not isinstance(task, str):
            raise ConfigError(f"{path}: expected names of tasks, found {task!r}")
        if not isinstance(sentences, list) or not sentences or not all(map(_is_sentence, sentences)):
            raise ConfigError(f"{path}: task {task!r}: expected a list of sentences, found {sentences!r}")
    return found


def _told(
    policy: Policy,
    kind: str,
    task: str,
    instructions: Mapping[str, Sequence[str]] | None,
    untrained: Mapping[str, Sequence[str]],
) -> Sequence[str]:
    if kind == "one_hot":
        return (task,)
    if kind == "none":
        return ("",)
    if instructions is None:
        known = {known.name: known.instructions for known in policy.spec.tasks}
        return {**untrained, **known}.get(task) or _untold(task)
    if task not in instructions:
        raise ConfigError(f"no instructions for task {task!r}; found some for: {', '.join(instructions)}")
    return instructions[task]


def _shown(policy: Policy, clips: Sequence[Shown], together: int) -> list[Descriptor]:
    z = policy.embed("video", [clip.frames for clip in clips])
    groups = [[(first + n) % len(clips) for n in range(min(together, len(clips)))] for first in range(len(clips))]
    return [Descriptor(", ".join(clips[index].name for index in group), z[group].mean(0)) for group in groups]


def _vocabulary(policy: Policy, kind: str, instructions: Mapping[str, Sequence[str]] | None) -> Iterable[str]:
    """All that could be told."""
    match kind:
        case "one_hot":
            return policy.spec.task_names
        case "language" if instructions is not None:
            return chain.from_iterable(instructions.values())
        case "language":
            return chain.from_iterable(task.instructions for task in policy.spec.tasks)
        case _:
            return ()


def _is_sentence(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _untold(task: str) -> Sequence[str]:
    raise CheckpointError(f"task {task!r} has no instruction in the policy's vocabulary; give one with --instructions")
