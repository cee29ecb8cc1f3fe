"""From a run directory or checkpoint to a table of success rates."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console

from mtil.errors import CheckpointError
from mtil.evaluation.digest import evaluation_digest
from mtil.evaluation.evaluate import run_trials
from mtil.evaluation.journal import Journal
from mtil.evaluation.metrics import EvaluationResult, Outcome, summary
from mtil.evaluation.peers import Peers, joined
from mtil.evaluation.preparation import Preparation, prepare
from mtil.evaluation.progress import EpisodeProgress
from mtil.evaluation.results import result_path, write_json
from mtil.evaluation.rollout import Recording, Trial, slots_for
from mtil.evaluation.settings import EvaluationSettings, Replay
from mtil.evaluation.trials import all_filmed, first_filmed
from mtil.files import check_writable
from mtil.policies.actor import Actor
from mtil.policies.checkpoint import LoadedPolicy
from mtil.ranks import cores, this_rank


def evaluate_checkpoint(
    path: Path,
    settings: EvaluationSettings | None = None,
    *,
    replay: Replay | None = None,
    video: Path | None = None,
    workers: int | None = None,
    json: Path | None = None,
) -> EvaluationResult:
    """Evaluate the averaged weights of a checkpoint, and keep the result in its run directory.

    Ranks started together share the episodes, and all return the result. Interrupted and started again, it runs only
    the episodes that are missing, and those to be filmed.

    Args:
        path: A run directory or a checkpoint.
        settings: What decides the numbers; the defaults of `mtil evaluate`, unless given.
        replay: Run this episode alone.
        video: Folder for films: of each task's first episode, or of those replayed.
        workers: Processes; None: one for each core.
        json: Write the result to this file, too.

    Raises:
        CheckpointError: No policy is there, or it does not take the condition or know a task.
        ConfigError: The ranks cannot find each other.
        OutputError: The result, a film or the journal cannot be written.
        MtilError: Suite, tasks, instructions or control do not fit.
    """
    if json is not None:
        check_writable(json)  # before hours of work, not after
    prepared = prepare(path, settings or EvaluationSettings())
    recording = prepared.recording(video)
    workers = workers or cores()
    with joined(this_rank()) as peers:
        _check_same(prepared.loaded, peers)
        if replay is not None:
            result = _replayed(prepared, replay, recording, workers=workers, peers=peers)
            return _kept(result, [] if json is None else [json], peers)
        return _evaluated(prepared, recording, workers=workers, json=json, peers=peers)


def run_prepared(
    prepared: Preparation,
    trials: Sequence[Trial],
    *,
    recording: Recording | None,
    workers: int,
    peers: Peers | None = None,
    journal: Journal | None = None,
) -> list[Outcome]:
    """How trials of an evaluation end: those that the journal knows, and the others, which it is told of.

    Raises:
        MtilError: An environment or rank fails, or a film or the journal cannot be written.
    """
    peers = peers or Peers()
    filmed = {(trial.task, trial.episode) for trial in trials if trial.video is not None}
    known = [each for each in journal.outcomes() if (each.task, each.episode) not in filmed] if journal else []
    if known:
        _say(f"continuing: {len(known)} of {len(trials)} episodes are there", peers)
    part = peers.rank.stretch(range(len(trials) - len(known)))
    with EpisodeProgress(total=len(part), rank=peers.rank) as progress:

        def note(outcome: Outcome) -> None:
            if journal is not None:
                journal.add(outcome)
            progress(outcome)

        return run_trials(
            Actor(prepared.loaded.policy, slots=slots_for(workers)),
            trials,
            simulator=prepared.protocol.suite,
            workers=workers,
            recording=recording,
            known=known,
            peers=peers,
            progress=note,
        )


def _evaluated(
    prepared: Preparation, recording: Recording | None, *, workers: int, json: Path | None, peers: Peers
) -> EvaluationResult:
    trials = first_filmed(prepared.trials(), recording)
    digest = evaluation_digest(prepared.protocol, trials)
    kept = None if prepared.run is None else result_path(prepared.run, prepared.protocol, digest)
    files = [file for file in (kept, json) if file is not None]
    for file in files:
        check_writable(file)
    if not files:
        return summary(
            prepared.protocol, run_prepared(prepared, trials, recording=recording, workers=workers, peers=peers)
        )
    with Journal(files[0], evaluation=digest, rank=peers.rank) as journal:
        outcomes = run_prepared(prepared, trials, recording=recording, workers=workers, peers=peers, journal=journal)
    result = _kept(summary(prepared.protocol, outcomes), files, peers)
    if peers.rank.first:
        journal.remove()
    return result


def _replayed(
    prepared: Preparation, replay: Replay, recording: Recording | None, *, workers: int, peers: Peers
) -> EvaluationResult:
    trials = all_filmed(prepared.trials([replay.episode], tasks=replay.of(prepared.descriptors)), recording)
    outcomes = run_prepared(prepared, trials, recording=recording, workers=workers, peers=peers)
    return summary(replace(prepared.protocol, episodes_per_task=1, replay=replay.episode), outcomes)


def _kept(result: EvaluationResult, files: Sequence[Path], peers: Peers) -> EvaluationResult:
    for file in files if peers.rank.first else ():
        write_json(file, result)
        _say(f"result: {file}", peers)
    return result


def _say(words: str, peers: Peers) -> None:
    console = Console(stderr=True, quiet=not peers.rank.first, soft_wrap=True)
    console.print(words, markup=False, highlight=False)


def _check_same(loaded: LoadedPolicy, peers: Peers) -> None:
    """A run that is still being trained may have replaced its checkpoint between one rank's look and another's."""
    if int(peers.total(torch.tensor(loaded.step))) != loaded.step * peers.rank.count:
        raise CheckpointError(
            f"{loaded.path}: found step {loaded.step}, but other ranks found another; is the run still being trained? "
            "evaluate a copy"
        )
