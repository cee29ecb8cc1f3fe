"""Which stored results a run, or several runs, stand for."""

from collections.abc import Sequence
from pathlib import Path

from mtil.errors import CheckpointError
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.results import read_json, results_of

Found = dict[Path, EvaluationResult]


def read_sides(sides: Sequence[Sequence[Path]]) -> list[Found]:
    """The results of each side, by file, one for each of its paths.

    A path is a run directory or the JSON of a result. A run stands for its last step told as in training, neither as a
    control nor in other sentences; if that was evaluated in several ways, for the one that all paths have in common.

    Raises:
        CheckpointError: There is no result, or more than one that may be meant.
    """
    found = {path: _results(path) for side in sides for path in side}
    for side in sides:
        for path in side:
            if list(side).count(path) > 1:
                raise CheckpointError(f"{path}: given twice; expected the trainings of different seeds")
    if any(len(results) > 1 for results in found.values()):
        found = _in_common(found)
    return [{file: result for path in side for file, result in found[path].items()} for side in sides]


def _results(path: Path) -> Found:
    if path.is_file() or path.suffix == ".json":
        return {path: read_json(path)}
    found = {file: result for file, result in results_of(path).items() if result.protocol.replay is None}
    if not found:
        raise CheckpointError(f"{path}: no result in it; make one with: mtil evaluate {path} --episodes 50 --seed 0")
    own = {file: each for file, each in found.items() if each.protocol.told_as_trained} or found
    last = max(_step(each) for each in own.values())
    return _once({file: each for file, each in own.items() if _step(each) == last})


def _step(result: EvaluationResult) -> int:
    return -1 if result.protocol.step is None else result.protocol.step


def _once(found: Found) -> Found:
    """Without copies, as `--json` makes one."""
    kept: Found = {}
    for file, result in found.items():
        if result not in kept.values():
            kept[file] = result
    return kept


def _in_common(found: dict[Path, Found]) -> dict[Path, Found]:
    """Of each path, the result of the one protocol that all have, once each."""
    shared = set[_Protocol].intersection(
        *({_protocol(each) for each in results.values()} for results in found.values())
    )
    chosen = {
        path: {file: result for file, result in results.items() if _protocol(result) in shared}
        for path, results in found.items()
    }
    if len(shared) != 1 or any(len(results) > 1 for results in chosen.values()):
        raise CheckpointError(_ambiguous(chosen if shared else found))
    return chosen


_Protocol = tuple[object, ...]


def _protocol(result: EvaluationResult) -> _Protocol:
    """What must agree for results to be compared, and what they were told with."""
    how = result.protocol
    tasks = tuple(task.task for task in result.tasks)
    told = how.instructions, how.videos, how.clips, how.control
    return how.suite, how.suite_digest, how.seed, tasks, how.episodes_per_task, *told


def _ambiguous(found: dict[Path, Found]) -> str:
    path, results = next((path, results) for path, results in found.items() if len(results) > 1)
    listed = "; ".join(f"{file.name} ({_words(result)})" for file, result in results.items())
    others = ", ".join(str(other) for other in found if other != path)
    like = f" like those of {others}" if others else ""
    return f"{path}: expected one result{like}, found: {listed}; name the JSON files to compare"


def _words(result: EvaluationResult) -> str:
    how = result.protocol
    said = [f"{how.suite} seed {how.seed}", f"{len(result.tasks)} tasks, {how.episodes_per_task} episodes each"]
    said += [f"step {how.step}"] if how.step is not None else []
    said += [f"control {how.control}"] if how.control else []
    said += [f"instructions {how.instructions}"] if how.instructions else []
    said += [f"{how.clips} clips of {how.videos or 'demonstrations held out'}"] if how.clips else []
    return ", ".join([*said, how.condition])
