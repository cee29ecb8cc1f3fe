"""Configuration of Hugging Face datasets: what their columns are, and how they are streamed."""

from collections import Counter

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from mtil.config import Config


class ColumnsConfig(Config):
    """Which column of a Hugging Face dataset is what.

    Where there is one of episodes' numbers, a row is a step; otherwise it is an episode.
    """

    action: str = Field(default="action", description="The expert's actions")
    task: str = Field(
        default="task", description="What tells the task: a sentence or a name, or a class label whose names are that"
    )
    instruction: str = Field(
        default="instruction", description="A sentence beside it, where tasks are named; there need be none"
    )
    episode: str = Field(default="episode_index", description="Number of the episode that a step is of")
    step: str = Field(default="frame_index", description="Number of the step in it")
    reward: str = Field(default="next.reward", description="Of each step; there need be none")
    done: str = Field(default="next.done", description="Whether the episode ended; there need be none")
    observations: tuple[str, ...] | None = Field(
        default=None, description="Those that are observations; null: all others that hold vectors or images"
    )

    @model_validator(mode="after")
    def _each_for_itself(self) -> "ColumnsConfig":
        names = [*self.own, *(self.observations or ())]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"expected another column for each, found {twice[0]!r} twice")
        return self

    @property
    def own(self) -> tuple[str, ...]:
        """All that are no observations."""
        return (self.action, self.task, self.instruction, self.episode, self.step, self.reward, self.done)


class StreamConfig(Config):
    """Rows of Hugging Face datasets that are read in order, in portions, for data that are larger than the disk.

    A portion is laid down in the cache, batches are drawn from it, and the next one takes its place. Each has to hold
    every task: where a source is in order of its tasks, give one for each.
    """

    sources: tuple[str, ...] = Field(
        min_length=1,
        description="Each a pattern of parquet files, or a folder of them, however deep, or the name of a dataset on "
        "the Hub, perhaps with @ and a revision",
    )
    name: str | None = Field(
        default=None,
        min_length=1,
        description="What to call them, where a policy knows several datasets; null: as they are",
    )
    columns: ColumnsConfig = ColumnsConfig()
    episodes: PositiveInt = Field(default=100, description="Of each source in a portion")
    steps: PositiveInt = Field(default=1_000, description="Batches drawn from a portion")
    held_out: NonNegativeInt = Field(
        default=5,
        description="Of each task in each source, how many of the first portion validate, and do nothing else",
    )

    @model_validator(mode="after")
    def _each_once(self) -> "StreamConfig":
        twice = [source for source, count in Counter(self.sources).items() if count > 1]
        if twice:
            raise ValueError(f"sources: expected each once, found {twice[0]!r} twice; data.mixture weighs datasets")
        return self
