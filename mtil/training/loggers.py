"""Logs of a run: a CSV file that survives resuming, TensorBoard, and Weights & Biases when chosen."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger

from mtil.encoders.config import encoder_parts
from mtil.errors import ConfigError, OutputError
from mtil.files import replacing
from mtil.training.config import ExperimentConfig
from mtil.training.metrics import validation_names


class CSVMetrics(Logger):
    """Appends rows to `metrics.csv`. (Lightning's own CSV logger deletes the file when a run is resumed.)

    Args:
        path: The file. Rows beyond `step` are dropped from one that exists: they will be trained, and written, again.
        columns: All metrics that will ever be logged; a row leaves blank what it does not have.
        step: The step that training starts from.
    """

    def __init__(self, path: Path, columns: Sequence[str], *, step: int = 0) -> None:
        super().__init__()
        self._path, self._columns = path, ["step", *columns]
        kept = [row for row in _rows(path) if int(row["step"]) <= step]
        with replacing(path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, self._columns, restval="", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)

    @property
    def name(self) -> str:
        return "metrics"

    @property
    def version(self) -> int:
        return 0

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """The run's `config.yaml` holds them."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Append one row."""
        try:
            with self._path.open("a", newline="") as file:
                csv.DictWriter(file, self._columns, restval="").writerow({"step": step, **metrics})
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written: {error.strerror}") from None


def run_loggers(config: ExperimentConfig, run: Path, tasks: Sequence[str], *, step: int) -> list[Logger]:
    """The loggers of a run directory, whose training starts from a step."""
    begin = validation_names(tuple(encoder_parts(config.policy.task_encoder)), len(tasks)).values()
    means = ["train/nll", *(f"{name}{metric}" for name in begin for metric in ("nll", "action_error"))]
    if config.trainer.rollout_every is not None:
        means += ["rollout/success", "rollout/length"]
    columns = ["learning_rate", *means, *(f"{mean}/{task}" for mean in means for task in tasks)]
    loggers: list[Logger] = [
        CSVMetrics(run / "metrics.csv", columns, step=step),
        TensorBoardLogger(run, name=None, version="tensorboard", purge_step=step + 1),
    ]
    return loggers if config.trainer.wandb is None else [*loggers, _wandb(run, config)]


def _wandb(run: Path, config: ExperimentConfig) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    values = config.model_dump(mode="json")
    try:
        return WandbLogger(project=config.trainer.wandb, name=run.name, save_dir=run, config=values)
    except ModuleNotFoundError:
        raise ConfigError('trainer.wandb: Weights & Biases is not installed; pip install "mtil[wandb]"') from None


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if None not in row.values()]  # a process killed leaves part of one
