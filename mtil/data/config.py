"""Configuration of data: where demonstrations lie and how they become batches."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mtil.config import Config
from mtil.data.huggingface.config import StreamConfig


class StratifiedSampling(Config):
    """Every batch holds every task in fixed shares `n^alpha` (n: the task's windows), or in the shares given.

    alpha 0 is uniform over tasks, 1 proportional to their data.
    """

    kind: Literal["stratified"] = "stratified"
    alpha: float = Field(default=0.0, ge=0, le=1)
    weights: dict[str, PositiveFloat] | None = Field(
        default=None, description="Relative share of each task of its dataset, by name"
    )


class UniformSampling(Config):
    """Windows are drawn uniformly, whatever their task: the usual way, to compare with."""

    kind: Literal["uniform"] = "uniform"


_PATH = (
    "A robomimic or LIBERO file, a folder with one a task, or a LeRobot or Minari dataset; or the name of a dataset on "
    "the Hub, perhaps with @ and a revision"
)

Decoding = Literal["once", "on_the_fly"]
Change = Annotated[float, Field(ge=0, le=1)]
Sampling = Annotated[StratifiedSampling | UniformSampling, Field(discriminator="kind")]


class AugmentationConfig(Config):
    """How the images of a training example are changed: all frames of a window alike, each camera for itself."""

    shift: NonNegativeInt = Field(default=4, description="Pixels, each way, at most; the edge is repeated")
    brightness: Change = Field(default=0.2, description="Factor between 1 - x and 1 + x")
    contrast: Change = Field(default=0.2, description="Factor of the distance from the mean grey")
    saturation: Change = Field(default=0.2, description="Factor of the distance from grey")
    hue: float = Field(default=0.02, ge=0, le=0.5, description="Share of the circle of hues, each way")


class ClipsConfig(Config):
    """What shows the tasks: other demonstrations of them as a camera saw these, and videos.

    In training the frames of demonstrations stray, and clips are moved; neither where a frozen network looks at clips
    once for all.
    """

    images: str = Field(description="Image key of the demonstrations; it need not be among the observations")
    videos: Path | None = Field(
        default=None, description="A folder of videos beside the demonstrations, in one folder a task"
    )
    size: PositiveInt | None = Field(
        default=None, description="Pixels that the shorter side of a frame is scaled to; null: as they are"
    )
    jitter: float = Field(
        default=0.5,
        ge=0,
        le=0.5,
        description="How far a demonstration's frames stray from even places, at most, in distances between them",
    )
    shift: NonNegativeInt = Field(
        default=4,
        description="Pixels, of the scaled frame, that a clip is moved each way, at most; the edge is repeated",
    )


class FinalGoal(Config):
    """The end of the demonstration."""

    kind: Literal["final"] = "final"


class FutureGoal(Config):
    """A later step of it."""

    kind: Literal["future"] = "future"
    offsets: Literal["uniform", "geometric"] = Field(default="uniform", description="How far ahead")
    mean: PositiveFloat = Field(
        default=20.0, ge=1, description="Steps ahead, of geometric offsets in an episode that did not end"
    )


class RandomGoal(Config):
    """Any step of it, earlier ones, too."""

    kind: Literal["random"] = "random"


class StatedGoal(Config):
    """What the demonstration was asked to reach, if it says so: no relabelling."""

    kind: Literal["stated"] = "stated"
    key: str = Field(description="State key that holds it, of as many dimensions as the space of goals")


Relabelling = Annotated[FinalGoal | FutureGoal | RandomGoal | StatedGoal, Field(discriminator="kind")]


class GoalsConfig(Config):
    """What goals are: a part of the observation, to be as the demonstration came to have it (hindsight)."""

    space: tuple[str, ...] = Field(
        min_length=1, description="State keys, or one image key; they need not be among the observations"
    )
    relabel: Relabelling = Field(default=FinalGoal(), description="What became of a demonstration that is its goal")

    @property
    def keys(self) -> tuple[str, ...]:
        """All that goals are made of, or stated in."""
        return (*self.space, *([self.relabel.key] if isinstance(self.relabel, StatedGoal) else []))


class RehearsalConfig(Config):
    """Demonstrations of earlier tasks that are mixed into a fine-tuning, lest the policy forget them."""

    path: Path = Field(description=_PATH)
    tasks: tuple[str, ...] | None = Field(
        default=None, description="Which to rehearse; null: all that are not among the new"
    )
    share: float = Field(default=0.5, gt=0, lt=1, description="Of each batch that is theirs")


class DatasetConfig(Config):
    """One dataset of several, whose numbers are normalised by its own statistics."""

    path: Path = Field(description=_PATH)
    name: str | None = Field(
        default=None, min_length=1, description="What to call it; null: as its file or folder, without the suffix"
    )
    weight: PositiveFloat = Field(default=1.0, description="Its relative share of each batch, which its tasks divide")
    tasks: tuple[str, ...] | None = Field(default=None, description="Its tasks to train on; null: all")
    prefix: str = Field(
        default="", description="Put before the names of its tasks, where another dataset has tasks of the same names"
    )
    keys: dict[str, str | None] = Field(
        default={},
        description="By key of an observation, what this dataset and its simulator call it, if otherwise; null: it has "
        "no such observation",
    )


class DataConfig(Config):
    """Demonstrations and batches."""

    path: Path | None = Field(default=None, description=f"{_PATH}; null: mixture tells of several")
    mixture: tuple[DatasetConfig, ...] = Field(
        default=(), description="Several datasets, perhaps of several robots, in place of path"
    )
    stream: StreamConfig | None = Field(
        default=None, description="Data that are larger than the disk, in place of path"
    )
    observations: tuple[str, ...] | None = Field(
        default=None, description="Keys of the observation, states and images; null: all state keys"
    )
    image_size: PositiveInt | None = Field(
        default=None,
        description="Pixels that height and width of all images are scaled to; null: as they are. A policy scales what "
        "it is shown in the same way",
    )
    targets: tuple[str, ...] = Field(
        default=(), description="State keys that the policy does not see, but learns to tell from its images"
    )
    clips: ClipsConfig | None = Field(
        default=None, description="What shows the tasks, to a policy that is told them by video"
    )
    goals: GoalsConfig | None = Field(default=None, description="What goals are, to a policy that is given them")
    tasks: tuple[str, ...] | None = Field(default=None, description="Tasks to train on; null: all")
    rehearsal: RehearsalConfig | None = Field(
        default=None, description="Earlier tasks' demonstrations beside those of path; null: none"
    )
    batch_size: PositiveInt = Field(default=256, description="Windows in a batch, over all devices")
    sampling: Sampling = StratifiedSampling()
    sentences_at_once: PositiveInt | None = Field(
        default=None,
        description="Of a task in one batch, at most; null: each example draws its own. Few cost a tuned model less",
    )
    train_mask: str | None = Field(
        default=None, description="Filter key of the training demos; null: all that do not validate"
    )
    validation_mask: str | None = Field(
        default=None, description="Filter key of the validation demos; null: all outside train_mask, or split by seed"
    )
    validation_fraction: float = Field(
        default=0.1, ge=0, lt=1, description="Share of each task's demos that is held out"
    )
    decoding: Decoding = Field(
        default="once",
        description="Of images that are compressed, pictures or films: once, into a mapped file of the cache, or "
        "on_the_fly, for each batch anew, where there is no room for that",
    )
    num_workers: int = Field(default=0, ge=0, description="Loader processes; 0: batches are gathered in this one")
    augmentation: AugmentationConfig | None = Field(
        default=None, description="Of images, in training alone; null: they are seen as they are"
    )

    @model_validator(mode="after")
    def _one_or_several(self) -> "DataConfig":
        given = {"path": self.path is not None, "mixture": bool(self.mixture), "stream": self.stream is not None}
        found = [name for name, there in given.items() if there]
        if len(found) != 1:
            hint = "; path=null to train on the other" if self.path is not None else ""
            raise ValueError(f"expected path, mixture or stream, found {' and '.join(found) or 'none of them'}{hint}")
        if self.mixture and self.tasks is not None:
            raise ValueError("tasks: expected null beside a mixture, whose datasets each choose their own")
        if self.stream is not None:
            self._check_streamed()
        return self

    def _check_streamed(self) -> None:
        if self.rehearsal is not None or self.num_workers:
            raise ValueError("stream: expected no rehearsal, and num_workers=0: batches are gathered in this process")
        if self.train_mask is not None or self.validation_mask is not None:
            raise ValueError("stream: expected no masks: stream.held_out tells how many demonstrations validate")
        usual = DataConfig.model_fields["validation_fraction"].default
        if self.validation_fraction != usual:
            found = f"found {self.validation_fraction}: stream.held_out tells how many demonstrations validate"
            raise ValueError(f"stream: expected validation_fraction={usual}, which it has no use for, {found}")

    @property
    def paths(self) -> tuple[Path, ...]:
        """Where the demonstrations lie, those that are rehearsed or streamed apart."""
        return tuple(dataset.path for dataset in self.mixture) if self.path is None else (self.path,)

    @property
    def where(self) -> str:
        """The same in words."""
        return ", ".join(map(str, self.paths if self.stream is None else self.stream.sources))
