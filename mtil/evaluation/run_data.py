"""The demonstrations that a run was trained on, and those that were held out of it."""

from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Int
from pydantic import ValidationError
from torch import Tensor

from mtil.config import read_yaml
from mtil.data.config import DataConfig
from mtil.data.split import split
from mtil.data.store import DemoStore
from mtil.errors import CheckpointError, DatasetError
from mtil.policies.policy import Policy


@dataclass(frozen=True)
class RunData:
    """A run's demonstrations.

    Attributes:
        config: Where they are.
        store: All of them.
        train: Positions of the episodes that it was trained on.
        validation: Of those that were held out.
    """

    config: DataConfig
    store: DemoStore
    train: Int[Tensor, " _"]
    validation: Int[Tensor, " _"]

    def name(self, episode: int) -> str:
        """What to call an episode, by its place among those of its task."""
        first = int((self.store.task == self.store.task[episode]).nonzero()[0])
        return f"demonstration {episode - first}"


def run_data(policy: Policy, run: Path) -> RunData:
    """The demonstrations of a run and of its policy.

    Raises:
        CheckpointError: The run does not tell where its data are, or they are not those that it was trained on.
        DatasetError: The data cannot be read.
    """
    config, seed, started = _read(run / "config.yaml")
    store = DemoStore.of(config, vocabulary=policy.spec if started else None)
    told = [(spec.clip, spec.goal, spec.task_names) for spec in (store.spec, policy.spec)]
    if told[0] != told[1]:
        raise CheckpointError(f"{config.where}: no longer holds the tasks and images that {run} was trained on")
    return RunData(config, store, *split(store, config, seed=seed))


def _read(path: Path) -> tuple[DataConfig, int, bool]:
    """Where a run's data are, the seed that split them, and whether it started from a policy that knew other tasks."""
    found = read_yaml(path)
    try:
        return DataConfig.model_validate(found["data"]), int(found["seed"]), found.get("start") is not None
    except (KeyError, TypeError, ValueError, ValidationError, DatasetError) as error:
        problem = " ".join(str(error).split())
        raise CheckpointError(f"{path}: expected the configuration of a run with its data: {problem}") from None
