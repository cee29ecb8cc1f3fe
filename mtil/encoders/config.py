"""Configuration of encoders and of normalisation."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from mtil.config import Config


class OneHotConfig(Config):
    """A learned vector for each task of the vocabulary."""

    kind: Literal["one_hot"] = "one_hot"
    width: PositiveInt = Field(default=64, description="Size of z")


class UnconditionalConfig(Config):
    """One learned vector for all tasks: a policy that is not told its task, the control for those that are."""

    kind: Literal["none"] = "none"
    width: PositiveInt = Field(default=64, description="Size of z")


class LanguageConfig(Config):
    """A frozen sentence embedding and a trained projection of it."""

    kind: Literal["language"] = "language"
    model: str = Field(default="all-MiniLM-L6-v2", description="A Hugging Face text encoder: id or local folder")
    width: PositiveInt = Field(default=64, description="Size of z")
    hidden: PositiveInt = Field(default=256, description="Width of the projection's hidden layer")


TaskEncoderConfig = Annotated[OneHotConfig | LanguageConfig | UnconditionalConfig, Field(discriminator="kind")]

NormalizationMode = Literal["mean_std", "min_max", "quantile", "none"]


class NormalizationConfig(Config):
    """How raw numbers are scaled: to zero mean and unit deviation, or a range (or 1st-99th percentile) to [-1, 1]."""

    observations: NormalizationMode = "mean_std"
    actions: NormalizationMode = "min_max"
    floor: PositiveFloat = Field(
        default=1e-2, description="Smallest scale, in raw units: a dimension that hardly varies is not blown up"
    )


class PointsConfig(Config):
    """Positions in one frame among the observations, whose displacements from each other the policy sees."""

    starts: dict[str, tuple[NonNegativeInt, ...]] = Field(
        description="By state key, where each point's x, y and z begin, in metres"
    )
    scales: tuple[PositiveFloat, ...] = Field(
        default=(0.02, 0.1, 0.5), min_length=1, description="Metres at which displacements are told apart"
    )
    absolute: bool = Field(default=True, description="Whether the policy sees the positions themselves, too")
