"""Which of a policy's tasks live in a suite."""

from collections import Counter
from collections.abc import Sequence
from contextlib import closing

import gymnasium

from mtil.errors import SimulatorError
from mtil.sim.base import Simulator
from mtil.types import CameraView, DatasetSpec


def residents(spec: DatasetSpec, simulator: Simulator) -> list[str]:
    """The tasks of a policy that a suite has, in the suite's order.

    Tasks of several datasets may be called alike in their simulators. Of those, they live in a suite of which it shows
    what the policy is to see; all, where it does so of none.

    Args:
        spec: Of the policy.
        simulator: The suite.
    """
    suite = [task.name for task in simulator.tasks()]
    there = ordered([task for task in spec.task_names if spec.simulated(task) in suite], spec, simulator)
    named = Counter(map(spec.simulated, there))
    strangers = {task for task in there if named[spec.simulated(task)] > 1 and missing(spec, simulator, task)}
    at_home = {spec.simulated(task) for task in there if task not in strangers}
    return [task for task in there if task not in strangers or spec.simulated(task) not in at_home]


def ordered(tasks: Sequence[str], spec: DatasetSpec, simulator: Simulator) -> list[str]:
    """Tasks, each once, in the order that the suite has them in; of those that it calls alike, in their own."""
    suite = [task.name for task in simulator.tasks()]
    return sorted(dict.fromkeys(tasks), key=lambda task: suite.index(spec.simulated(task)))


def missing(spec: DatasetSpec, simulator: Simulator, task: str) -> str | None:
    """What a suite does not show of a task that the policy is to see: a state, or an image that no camera there takes.

    Args:
        spec: Of the policy.
        simulator: The suite, which has a task of that name.
        task: The policy's name for it.
    """
    views = spec.views(task)
    for view in views:
        if not _takes(simulator, spec.simulated(task), view):
            return view.key
    with closing(simulator.make(spec.simulated(task))) as env:
        space = env.observation_space
    if not isinstance(space, gymnasium.spaces.Dict):
        return None
    keys, taken = spec.keys(task), [view.key for view in views]
    for feature in (feature for feature in spec.observations if feature.key in keys):
        own = keys[feature.key]
        shape = space[own].shape if own in space.spaces else None
        if feature.kind == "image":
            is_shown = own in taken or shape is not None
        else:
            is_shown = shape == (spec.width(feature.key, task),)
        if not is_shown:
            return own
    return None


def _takes(simulator: Simulator, task: str, view: CameraView) -> bool:
    """Whether a suite has the camera of a view."""
    try:
        simulator.make(task, views=(view,)).close()
    except SimulatorError as error:
        if repr(view.camera) in str(error):
            return False
        raise
    return True
