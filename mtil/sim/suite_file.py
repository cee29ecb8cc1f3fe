"""A suite as a YAML file describes it: tasks that are environments registered with Gymnasium."""

from typing import Any

from pydantic import Field, PositiveInt

from mtil.config import Config
from mtil.sim.parts import PartConfig
from mtil.sim.success import Rule


class TaskConfig(Config):
    """An environment, and what it is told by; what is left out is as for the whole suite."""

    id: str = Field(description="As gymnasium.make takes it, e.g. Reacher-v5, or my_package:Push-v0")
    kwargs: dict[str, Any] = Field(default={}, description="Of gymnasium.make, beside those of the suite")
    instructions: tuple[str, ...] = Field(default=(), description="Sentences that each tell the task")
    success: Rule | None = None
    observations: dict[str, PartConfig] | None = None
    expert: str | None = Field(
        default=None,
        pattern=r"^[\w.]+:\w+$",
        description="To collect demonstrations from: a function, as module:name, of an observation by key to an action",
    )


class SuiteConfig(Config):
    """A suite of tasks."""

    name: str | None = Field(default=None, description="For messages; null: the file's, without its suffix")
    horizon: PositiveInt = Field(
        description="Steps after which an episode has failed, in place of the limits that the environments are "
        "registered with"
    )
    imports: tuple[str, ...] = Field(default=(), description="Modules that register environments when imported")
    kwargs: dict[str, Any] = Field(default={}, description="Of gymnasium.make, for every task")
    success: Rule | None = Field(default=None, description="When a task is solved, unless it says so itself")
    observations: dict[str, PartConfig] | None = Field(
        default=None,
        description="By the key that a policy sees it under, a part of the environment's observation; null: every part",
    )
    renders: bool = Field(default=True, description="Whether the environments render, for films and views")
    repeatable: bool = Field(
        default=True,
        description="Whether an episode follows from its seed and its actions, which is then checked; where it does "
        "not, results vary from run to run",
    )
    seed_bits: int = Field(
        default=64, ge=16, le=64, description="Of the seeds that the environments take; some of NumPy's are of 32"
    )
    tasks: dict[str, TaskConfig] = Field(min_length=1)
