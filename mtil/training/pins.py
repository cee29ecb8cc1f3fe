"""Names on the Hub in a run's configuration, held to the commits that they meant when it began."""

from collections.abc import Callable
from pathlib import Path

from mtil.data.sources import pinned
from mtil.hub.names import HubName, on_hub
from mtil.policies.checkpoint import find_checkpoint
from mtil.training.config import ExperimentConfig


def with_commits(config: ExperimentConfig) -> ExperimentConfig:
    """The configuration with the commits that datasets and policies on the Hub are at now; they are fetched.

    Raises:
        DatasetError: A dataset is not there, or cannot be fetched.
        CheckpointError: Nor can the policy that is started from.
    """
    return _changed(config, pinned, _pinned_policy)


def as_before(config: ExperimentConfig, stored: ExperimentConfig) -> ExperimentConfig:
    """The configuration that a run is to be resumed with: the commits as they were written down when it began."""
    known = list(stored.data.paths)
    known += [] if stored.data.rehearsal is None else [stored.data.rehearsal.path]
    known += [] if stored.start is None else [Path(stored.start.policy)]
    commits = {name.repo: Path(str(name)) for name in map(on_hub, known) if name is not None and name.pinned}

    def before(path: Path) -> Path:
        name = on_hub(path)
        return path if name is None or name.pinned else commits.get(name.repo, path)

    return _changed(config, before, before)


def _pinned_policy(path: Path) -> Path:
    name = on_hub(path)
    return path if name is None or name.pinned else Path(str(HubName(name.repo, find_checkpoint(path).parent.name)))


def _changed(
    config: ExperimentConfig, data: Callable[[Path], Path], policy: Callable[[Path], Path]
) -> ExperimentConfig:
    """A configuration with other paths of its data and of the policy that it starts from."""
    found, start = config.data, config.start
    rehearsal = found.rehearsal and found.rehearsal.model_copy(update={"path": data(found.rehearsal.path)})
    path = found.path and data(found.path)
    mixture = tuple(each.model_copy(update={"path": data(each.path)}) for each in found.mixture)
    changes: dict[str, object] = {
        "data": found.model_copy(update={"path": path, "mixture": mixture, "rehearsal": rehearsal}),
        "start": start and start.model_copy(update={"policy": str(policy(Path(start.policy)))}),
    }
    return config.model_copy(update=changes)
