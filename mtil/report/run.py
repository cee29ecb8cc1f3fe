"""What lies in a run directory."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from mtil.config import read_yaml
from mtil.data.kinds import DescriptorKind, default_kind
from mtil.errors import CheckpointError, ConfigError
from mtil.evaluation.metrics import Control, EvaluationResult
from mtil.evaluation.results import results_of
from mtil.policies.checkpoint import LAST, LoadedPolicy, load_policy
from mtil.report.metrics_log import Metrics, read_metrics


@dataclass(frozen=True)
class Run:
    """A training and its evaluations.

    Attributes:
        path: The run directory.
        config: Its configuration, as plain values.
        config_text: The same, as it stands in the file.
        metrics: What was logged, by column.
        result: The evaluation that the report is about.
        controls: Evaluations like it, but told wrongly or not at all.
        rephrased: Evaluations like it, but told in the sentences of another file, by that file.
        otherwise: Evaluations of the same weights at the same placements, told in other kinds of descriptor, or shown
            otherwise; the longest last.
        elsewhere: Evaluations of the same weights in other suites, one in each.
        source: The file that `result` was read from.
        machines: What it was trained on: an entry for every start.
        policy: Its last; None where the checkpoint is gone.
    """

    path: Path
    config: dict[str, Any]
    config_text: str
    metrics: Metrics
    result: EvaluationResult
    source: Path
    controls: dict[Control, EvaluationResult] = field(default_factory=dict)
    rephrased: dict[str, EvaluationResult] = field(default_factory=dict)
    otherwise: tuple[EvaluationResult, ...] = ()
    elsewhere: tuple[EvaluationResult, ...] = ()
    machines: tuple[dict[str, Any], ...] = ()
    policy: LoadedPolicy | None = None

    @property
    def name(self) -> str:
        """The directory's."""
        return self.path.resolve().name

    @property
    def checkpoint(self) -> Path:
        """The checkpoint that was evaluated, where the run is now."""
        return self.path / LAST.parent / Path(self.result.protocol.path or LAST).name

    @property
    def told(self) -> bool:
        """Whether the policy is told its task at all."""
        return setting(self.config, "policy", "task_encoder", "kind") != "none"


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Read run directories.

    Raises:
        CheckpointError: One is given twice, does not exist, holds no evaluation, or a file is damaged.
        ConfigError: A configuration cannot be read.
    """
    for index, path in enumerate(paths):
        if path.resolve() in [other.resolve() for other in paths[:index]]:
            raise CheckpointError(f"{path}: given twice; expected different runs")
    return [read_run(path) for path in paths]


def read_run(path: Path) -> Run:
    """Read a run directory.

    Of several evaluations the report is about that of the latest step, and of those in the run's own suite, if it was
    evaluated there, the one with the most episodes.

    Raises:
        CheckpointError: There is no such directory, it holds no evaluation, or a file is damaged.
        ConfigError: Its configuration cannot be read.
    """
    if not path.is_dir():
        raise CheckpointError(f"{path}: expected a run directory, found {'a file' if path.exists() else 'nothing'}")
    text, config = _config(path / "config.yaml")
    results = {file: each for file, each in results_of(path).items() if each.protocol.replay is None}
    plain = [(file, each) for file, each in results.items() if each.protocol.told_as_trained]
    if not plain:
        raise CheckpointError(f"{path}: has no evaluation to report; make one with: mtil evaluate {path}")
    own = [each for each in plain if each[1].protocol.suite == config.get("suite")]
    last = max(each.protocol.step or -1 for _, each in plain)
    newest = [each for each in own if (each[1].protocol.step or -1) == last]
    source, result = max(newest or plain, key=lambda each: _weight(each[1], _told_by(config)))
    there = sorted((each for each in results.values() if _there(each, result)), key=lambda each: len(each.outcomes))
    alike = [each for each in there if _how(each) == _how(result)]
    return Run(
        path=path,
        config=config,
        config_text=text,
        metrics=read_metrics(path / "metrics.csv"),
        result=result,
        source=source,
        controls={how.control: each for each in alike if (how := each.protocol).control and not how.instructions},
        rephrased={how.instructions: each for each in alike if (how := each.protocol).instructions and not how.control},
        otherwise=tuple(each for each in there if _how(each) != _how(result) and _plain(each)),
        elsewhere=_elsewhere([each for _, each in plain], result, _told_by(config)),
        machines=_machines(path / "machines.yaml"),
        policy=load_policy(path) if (path / LAST).exists() else None,
    )


def _machines(path: Path) -> tuple[dict[str, Any], ...]:
    found = read_yaml(path) if path.exists() else []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ConfigError(f"{path}: expected a list of machines, found {type(found).__name__}")
    return tuple(found)


def setting(values: Any, *keys: str) -> Any:
    """A value of a configuration; None where there is none."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def _config(path: Path) -> tuple[str, dict[str, Any]]:
    found = read_yaml(path)
    if not isinstance(found, dict):
        raise ConfigError(f"{path}: expected a run's configuration, found {type(found).__name__}")
    return path.read_text(encoding="utf-8"), found


def _told_by(config: dict[str, Any]) -> str | None:
    """The kind of descriptor that the policy is told in by default."""
    kind = setting(config, "policy", "task_encoder", "kind")
    if kind != "multimodal":
        return kind
    kinds = [kind for kind in get_args(DescriptorKind) if setting(config, "policy", "task_encoder", kind) is not None]
    return default_kind(kinds) if kinds else None


def _weight(result: EvaluationResult, kind: str | None) -> tuple[int, ...]:
    """What counts for more, first what counts most; `kind` is the descriptor that the policy is told in by default."""
    how = result.protocol
    step = -1 if how.step is None else how.step
    usual = (how.untrained is None, how.condition == kind)
    return (step, *usual, len(result.tasks), len(result.outcomes), -how.seed)


def _elsewhere(
    results: Sequence[EvaluationResult], result: EvaluationResult, kind: str | None
) -> tuple[EvaluationResult, ...]:
    """The weightiest of each other suite, by suite."""
    how, found = result.protocol, dict[str, EvaluationResult]()
    for each in sorted(results, key=lambda each: _weight(each, kind)):
        if each.protocol.suite != how.suite and (each.protocol.step, each.protocol.weights) == (how.step, how.weights):
            found[each.protocol.suite] = each
    return tuple(found[suite] for suite in sorted(found))


def _there(result: EvaluationResult, other: EvaluationResult) -> bool:
    """Whether two evaluations have a task in common, and are of the same weights at placements of the same seed."""
    some = {task.task for task in result.tasks} & {task.task for task in other.tasks}
    keys = ("suite", "suite_digest", "seed", "step", "weights")
    return bool(some) and all(getattr(result.protocol, key) == getattr(other.protocol, key) for key in keys)


def _how(result: EvaluationResult) -> tuple[object, ...]:
    """In which kind of descriptor a policy was told, and if it was shown, by what."""
    return result.protocol.condition, result.protocol.videos, result.protocol.clips


def _plain(result: EvaluationResult) -> bool:
    """Whether it is no control, and nobody's other sentences were told."""
    return result.protocol.control is None and result.protocol.instructions is None
