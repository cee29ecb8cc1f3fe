"""The commands that make again what a report shows."""

import shlex

from mtil.report.run import Run


def evaluation_command(run: Run) -> str:
    """Evaluates the run as it was evaluated."""
    protocol = run.result.protocol
    words = ["mtil", "evaluate", str(run.path), "--suite", protocol.suite, "--condition", protocol.condition]
    words += ["--episodes", str(protocol.episodes_per_task), "--seed", str(protocol.seed)]
    words += [] if protocol.clips is None else ["--clips", str(protocol.clips)]
    names = [task.task for task in run.result.tasks]
    if run.policy is None or set(names) != set(run.policy.card.spec.task_names):
        words += ["--tasks", ",".join(names)]
    return shlex.join(words)


def training_command(run: Run) -> str:
    """Trains the run anew, into another directory."""
    return shlex.join(["mtil", "train", str(run.path / "config.yaml"), "--out", f"{run.path}-again"])
