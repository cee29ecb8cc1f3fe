"""Episodes of a stored result, run again: to be filmed, or by hand."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from mtil.errors import CheckpointError, SimulatorError
from mtil.evaluation.checkpoint import run_prepared
from mtil.evaluation.metrics import EvaluationProtocol, EvaluationResult, Outcome
from mtil.evaluation.preparation import Preparation, prepare
from mtil.evaluation.rollout import Trial
from mtil.evaluation.settings import EvaluationSettings
from mtil.evaluation.trials import all_filmed
from mtil.ranks import cores


def film(
    result: EvaluationResult,
    outcomes: Iterable[Outcome],
    folder: Path,
    *,
    checkpoint: Path | None = None,
    workers: int | None = None,
) -> dict[tuple[str, int], Path]:
    """Films of episodes, which are run again, by task and episode: `<folder>/<task>-<episode>.mp4`.

    Args:
        result: The result that they belong to.
        outcomes: How they ended in it.
        folder: Made if it does not exist.
        checkpoint: Where the checkpoint or run is now; None: where it was.
        workers: Processes; None: one for each core.

    Raises:
        CheckpointError: The checkpoint is gone, or holds other weights.
        SimulatorError: The simulator has no camera, or an episode ends otherwise than it did.
        OutputError: A film cannot be written.
    """
    outcomes = list(outcomes)
    prepared = prepare(checkpoint or _path(result.protocol), EvaluationSettings.of(result))
    _check_weights(prepared, result.protocol)
    recording = prepared.recording(folder)
    trials = all_filmed(_trials_of(prepared, outcomes), recording)
    found = run_prepared(prepared, trials, recording=recording, workers=workers or cores())
    for trial, recorded, replayed in zip(trials, outcomes, found, strict=True):
        _check_same(trial, recorded, replayed)
    return {(trial.task, trial.episode): trial.video for trial in trials if trial.video is not None}


def replay_command(result: EvaluationResult, outcome: Outcome, *, checkpoint: Path | None = None) -> str:
    """The shell command that runs an episode of a result again, and films it to the folder `films`.

    Args:
        result: The result that it belongs to.
        outcome: How it ended in it.
        checkpoint: Where the checkpoint or run is now; None: where it was.

    Raises:
        CheckpointError: The result does not tell where the checkpoint was.
    """
    protocol = result.protocol
    swapped = protocol.control == "wrong"  # all the tasks that were evaluated decide which was told as which
    tasks = ",".join(task.task for task in result.tasks) if swapped else outcome.task
    options = {
        "--suite": protocol.suite,
        "--tasks": tasks,
        "--seed": protocol.seed,
        "--replay": f"{outcome.task}:{outcome.episode}" if swapped else outcome.episode,
        "--condition": protocol.condition,
        "--control": protocol.control,
        "--instructions": protocol.instructions,
        "--videos": protocol.videos,
        "--clips": protocol.clips,
        "--video": "films",
    }
    words = [str(word) for name, value in options.items() if value is not None for word in (name, value)]
    return shlex.join(["mtil", "evaluate", str(checkpoint or _path(protocol)), *words])


def _path(protocol: EvaluationProtocol) -> Path:
    if protocol.path is None:
        raise CheckpointError(f"{protocol.checkpoint}: the result does not tell where the checkpoint was")
    return Path(protocol.path)


def _check_weights(prepared: Preparation, protocol: EvaluationProtocol) -> None:
    if prepared.protocol.weights != protocol.weights:
        raise CheckpointError(
            f"{prepared.loaded.path}: expected the weights that were evaluated, {protocol.weights} (step "
            f"{protocol.step}), found {prepared.protocol.weights} (step {prepared.loaded.step}); evaluate it again"
        )


def _trials_of(prepared: Preparation, outcomes: Sequence[Outcome]) -> list[Trial]:
    trials = {(trial.task, trial.episode): trial for trial in prepared.trials()}
    return [trials[outcome.task, outcome.episode] for outcome in outcomes]


def _check_same(trial: Trial, recorded: Outcome, replayed: Outcome) -> None:
    if replace(recorded, reruns=0) != replace(replayed, reruns=0):
        if trial.video is not None:
            trial.video.unlink(missing_ok=True)  # it shows what did not happen
        raise SimulatorError(
            f"{recorded.task}, episode {recorded.episode}: run again, it ended otherwise: expected "
            f"{_ending(recorded)}, found {_ending(replayed)}; is this another machine, or are the sentences others?"
        )


def _ending(outcome: Outcome) -> str:
    verdict = "success" if outcome.success else "failure"
    return f"{verdict} after {outcome.length} steps from placement {outcome.placement}, told {outcome.told!r}"
