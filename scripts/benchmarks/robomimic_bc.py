"""robomimic's own behaviour cloning on our demonstrations, for `time_to_success.py`.

robomimic knows no tasks. It is told of them in the usual way: all demonstrations in one file, the task's one-hot vector
an observation like any other. All else is as `config_factory("bc")` has it: batches of 100, mean squared error, Adam
at 1e-4, two layers of 1024, no normalisation, every window cached, epochs of 100 steps.

Legend: A action dimensions, Z width of the one-hot vector.
"""

import io
import time
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import robomimic  # pyright: ignore[reportMissingImports]
import torch
from jaxtyping import Float
from robomimic.algo import algo_factory  # pyright: ignore[reportMissingImports]
from robomimic.config import config_factory  # pyright: ignore[reportMissingImports]
from robomimic.utils.file_utils import get_shape_metadata_from_dataset  # pyright: ignore[reportMissingImports]
from robomimic.utils.obs_utils import initialize_obs_utils_with_config  # pyright: ignore[reportMissingImports]
from robomimic.utils.train_utils import load_data_for_training, run_epoch  # pyright: ignore[reportMissingImports]
from success_curve import Snapshot
from torch import Tensor
from torch.utils.data import DataLoader

from mtil.data.formats import open_tasks
from mtil.data.hdf5.writing import write_task
from mtil.data.split import split
from mtil.data.store import DemoStore
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.evaluate import evaluate
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.progress import EpisodeProgress
from mtil.evaluation.rollout import Observation, slots_for
from mtil.ranks import cores
from mtil.training.config import ExperimentConfig
from mtil.types import Episode, Task

TASK = "task"
"""Key of the one-hot vector."""

_TRAIN = "train"


class RobomimicBC:
    """A policy of robomimic's, and the windows that it is trained on.

    Args:
        experiment: Names the demonstrations, and the seed that decides which of them are trained on: by `mtil train`
            and here, the same.
    """

    def __init__(self, experiment: ExperimentConfig) -> None:
        assert experiment.suite is not None, "a policy that is to be evaluated needs a simulator"
        self._suite, data = experiment.suite, experiment.data
        assert data.path is not None, "robomimic's files are one dataset"
        store = DemoStore.open(data.path, keys=data.observations, tasks=data.tasks)
        training, _ = split(store, data, seed=experiment.seed)
        self._tasks = store.spec.task_names
        self._widths = {feature.key: feature.shape[0] for feature in store.spec.observations}
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            file = Path(folder, "demonstrations.hdf5")
            write_dataset(file, data.path, self._tasks, list(self._widths), training.tolist())
            self._config = _config(file, [*self._widths, TASK], seed=experiment.seed)
            initialize_obs_utils_with_config(self._config)
            shapes = get_shape_metadata_from_dataset(str(file), self._config.all_obs_keys)
            self._windows, _ = load_data_for_training(self._config, shapes["all_obs_keys"])
        assert len(self._windows) == store.length[training].sum(), "both are trained on the same steps"
        torch.manual_seed(experiment.seed)
        self._algo = algo_factory("bc", self._config, shapes["all_shapes"], shapes["ac_dim"], torch.device("cpu"))
        parameters = sum(parameter.numel() for parameter in self._algo.nets.parameters())
        print(f"robomimic {robomimic.__version__}: {len(self._windows)} training windows; {parameters:,} parameters")

    def train(self, folder: Path, *, seconds: float, every: float, threads: int) -> list[Snapshot]:
        """Train as robomimic's `scripts/train.py` does, but without its logs.

        Args:
            folder: Made, for snapshots of the weights.
            seconds: How long, the writing of snapshots not counted.
            every: Seconds between two of them.
            threads: Of PyTorch.
        """
        folder.mkdir(parents=True)
        torch.set_num_threads(threads)
        loader = DataLoader(self._windows, batch_size=self._config.train.batch_size, shuffle=True, drop_last=True)
        epoch_steps, snapshots, step, spent = self._config.experiment.epoch_every_n_steps, [], 0, 0.0
        while spent < seconds:
            began = time.monotonic()
            with redirect_stdout(io.StringIO()):
                run_epoch(self._algo, loader, epoch=step // epoch_steps + 1, num_steps=epoch_steps)
            self._algo.on_epoch_end(step // epoch_steps + 1)
            step, spent = step + epoch_steps, spent + time.monotonic() - began
            if spent >= min(seconds, every * (len(snapshots) + 1)):
                snapshots.append(Snapshot(folder / f"step-{step:07}.pt", step, spent))
                torch.save(self._algo.serialize(), snapshots[-1].path)
        return snapshots

    def evaluate(self, weights: Path, *, episodes: int, seed: int) -> EvaluationResult:
        """Success of a snapshot, at the placements that `mtil evaluate` has for the seed."""
        torch.set_num_threads(1)  # as for ours
        self._algo.deserialize(torch.load(weights, weights_only=True))
        one_hot = torch.eye(len(self._tasks))
        with EpisodeProgress(total=len(self._tasks) * episodes) as progress:
            return evaluate(
                RobomimicActor(self._algo, widths={**self._widths, TASK: len(self._tasks)}, slots=slots_for(cores())),
                simulator=self._suite,
                descriptors={task: [Descriptor(task, one_hot[position])] for position, task in enumerate(self._tasks)},
                episodes=episodes,
                seed=seed,
                workers=cores(),
                condition="one_hot",
                checkpoint=str(weights),
                tasks=self._tasks,
                progress=progress,
            )


class RobomimicActor:
    """A policy of robomimic's that acts in many slots, told the task by a one-hot z. It remembers nothing.

    It is called with every slot, idle ones included, as ours is.

    Args:
        algo: robomimic's; put into evaluation mode.
        widths: Dimensions of its observations by key.
        slots: Environments served at once.
    """

    def __init__(self, algo: Any, *, widths: Mapping[str, int], slots: int) -> None:
        algo.set_eval()
        self._algo = algo
        self._inputs = {key: np.zeros((slots, width), np.float32) for key, width in widths.items()}
        self._observed = [key for key in widths if key != TASK]
        self.slots = slots

    def reset(self, row: int, z: Float[Tensor, " Z"], task: str) -> None:
        """Begin an episode of the task that z tells."""
        self._inputs[TASK][row] = z

    @torch.inference_mode()
    def act(self, observations: Sequence[Observation | None]) -> list[Float[np.ndarray, " A"] | None]:
        """One action for each slot that has an observation."""
        for row, observation in enumerate(observations):
            if observation is not None:
                for key in self._observed:
                    self._inputs[key][row] = observation[key]
        actions = self._algo.get_action({key: torch.from_numpy(values) for key, values in self._inputs.items()}).numpy()
        return [None if observation is None else actions[row] for row, observation in enumerate(observations)]


def write_dataset(path: Path, demos: Path, tasks: Sequence[str], keys: Sequence[str], training: Sequence[int]) -> None:
    """Write the demonstrations of all tasks to one file, each with its task's one-hot vector.

    Args:
        path: The file.
        demos: The demonstrations, a file a task.
        tasks: The tasks in the order of their places in the vector, which is that of their demonstrations too.
        keys: Observations wanted.
        training: Positions, in that order, of the demonstrations to train on.
    """
    files = {file.task.name: file for file in open_tasks(demos)}
    episodes = [
        _told(episode, one_hot)
        for task, one_hot in zip(tasks, np.eye(len(tasks), dtype=np.float32), strict=True)
        for episode in files[task].episodes(keys)
    ]
    env_args = {"env_name": "all-tasks", "type": 2, "env_kwargs": {}}
    write_task(path, Task("all-tasks"), episodes, env_args=env_args, masks={_TRAIN: training})


def _told(episode: Episode, one_hot: Float[np.ndarray, " Z"]) -> Episode:
    """The episode with the one-hot vector among the observations of every step."""
    return replace(episode, observations={**episode.observations, TASK: np.tile(one_hot, (len(episode), 1))})


def _config(dataset: Path, keys: Sequence[str], *, seed: int) -> Any:
    """The defaults, on our file and our observations."""
    config = config_factory("bc")
    with config.values_unlocked():
        config.train.data = str(dataset)
        config.train.hdf5_filter_key = _TRAIN
        config.train.seed = seed
        config.observation.modalities.obs.low_dim = list(keys)
    return config
