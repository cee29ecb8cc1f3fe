"""The root configuration of a run: everything that `mtil train` needs to know."""

from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mtil.collection.config import CollectionConfig
from mtil.config import Config
from mtil.data.config import DataConfig
from mtil.policies.config import PolicyConfig


class OptimizerConfig(Config):
    """AdamW, with a linear warm-up and a cosine schedule down to zero."""

    learning_rate: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    warmup_steps: NonNegativeInt = 200
    gradient_clip: PositiveFloat = Field(default=1.0, description="Largest norm of the gradient")
    frozen: tuple[str, ...] = Field(
        default=(), description="Patterns of names of the policy's parameters that are not trained, such as trunk.*"
    )
    ema_decay: float = Field(default=0.999, ge=0, lt=1, description="Of the exponential moving average of the weights")


class TrainerConfig(Config):
    """Lightning's trainer."""

    max_steps: PositiveInt = 10_000
    accelerator: str = "cpu"
    devices: int | str = Field(default=1, description="Processes, each with a device or a share of the CPU cores")
    num_nodes: PositiveInt = 1
    strategy: str = Field(default="auto", description="auto, ddp, fsdp, or another that Lightning knows")
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    compile: bool = Field(
        default=False, description="torch.compile: starts a minute later, then is faster (from pixels, 1.5 times)"
    )
    accumulate_grad_batches: PositiveInt = 1
    threads: PositiveInt | None = Field(
        default=None, description="CPU threads of each process's model; null: its share of the cores"
    )
    log_every: PositiveInt = Field(default=100, description="Steps between rows of the training log")
    validate_every: PositiveInt = Field(default=500, description="Steps between validations")
    checkpoint_every: PositiveInt = Field(default=1_000, description="Steps between checkpoints")
    keep_every: PositiveInt | None = Field(
        default=None, description="Steps between checkpoints that stay, as step-N.ckpt; null: only last.ckpt does"
    )
    rollout_every: PositiveInt | None = Field(
        default=None, description="Steps between rollouts of the averaged weights in the suite; null: none"
    )
    rollout_episodes: PositiveInt = Field(default=10, description="Episodes of each task in such a rollout")
    progress_bar: bool = True
    wandb: str | None = Field(default=None, description="Project to log to, if Weights & Biases is wanted")


class StartConfig(Config):
    """What a fine-tuning starts from: a policy, whose vocabulary the tasks of the data join, or parts of it."""

    policy: str = Field(description="A run directory, a checkpoint, an export, or the id of an export on the Hub")
    normalization: Literal["keep", "extend", "recompute"] = Field(
        default="keep",
        description="Of numbers: the policy's; over its data and these, weighing the same; or over these alone",
    )
    parts: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Patterns of names of what is taken over, such as observation_encoder.cameras.*, without the "
        "vocabulary; null: all that fits",
    )


class ExperimentConfig(Config):
    """A run, completely: the same file and seed give the same policy on the same machine."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    suite: str | None = Field(
        default=None,
        description="Simulator that the tasks live in, or a YAML file that describes it, for collection and evaluation",
    )
    start: StartConfig | None = Field(default=None, description="A policy to start from; null: from scratch")
    data: DataConfig
    collection: CollectionConfig | None = Field(default=None, description="null: the data must be there")
    policy: PolicyConfig = PolicyConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    trainer: TrainerConfig = TrainerConfig()

    @model_validator(mode="after")
    def _several_datasets_are_there(self) -> "ExperimentConfig":
        if self.data.path is None and self.collection is not None:
            beside = "data.mixture, whose datasets" if self.data.mixture else "data.stream, whose sources"
            raise ValueError(f"collection: expected null beside {beside} must be there")
        return self


def presets() -> dict[str, Path]:
    """The shipped configurations, by name."""
    folder = Path(__file__).parent.parent / "presets"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
