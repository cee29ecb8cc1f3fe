"""Configuration of policies. Sizes that the data decides (action dimensions, chunk) are never here."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator, model_validator

from mtil.config import Config
from mtil.encoders.config import (
    CNNConfig,
    ImageEncoderConfig,
    LanguageConfig,
    NormalizationConfig,
    PointsConfig,
    TaskEncoderConfig,
)

MinStd = Annotated[float, Field(ge=1e-4, le=1.0, description="Smallest standard deviation, in normalised action units")]


class GaussianHeadConfig(Config):
    """An independent Gaussian for each entry of the action chunk."""

    kind: Literal["gaussian"] = "gaussian"
    min_std: MinStd = 0.05
    std: Literal["state", "global", "fixed"] = Field(
        default="state",
        description="What is added to min_std: a function of the state, a learned number an entry, nothing",
    )


class MixtureHeadConfig(Config):
    """A mixture of Gaussians."""

    kind: Literal["mixture"] = "mixture"
    components: int = Field(default=5, ge=1, description="Gaussians in the mixture")
    min_std: MinStd = 0.05
    over: Literal["step", "chunk"] = Field(
        default="step",
        description="Whether each step of the chunk draws its component, or one is drawn for the whole chunk",
    )


class DiscretisedHeadConfig(Config):
    """A histogram of equal bins for each entry of the action chunk."""

    kind: Literal["discretised"] = "discretised"
    bins: int = Field(default=64, ge=2, description="Bins over the range of each action dimension in the training data")


HeadConfig = Annotated[GaussianHeadConfig | MixtureHeadConfig | DiscretisedHeadConfig, Field(discriminator="kind")]


class MLPTrunkConfig(Config):
    """A residual multilayer perceptron, conditioned on z."""

    kind: Literal["mlp"] = "mlp"
    width: PositiveInt = Field(
        default=256,
        multiple_of=4,
        description="Features; by fours, or some matrix kernels round an example by its place in the batch",
    )
    depth: PositiveInt = Field(default=3, description="Residual blocks, of two layers each")
    conditioning: Literal["film", "concat"] = Field(
        default="concat", description="How z enters: in every block, or at the input"
    )
    dropout: float = Field(default=0.0, ge=0, lt=1)


class TransformerTrunkConfig(Config):
    """A causal transformer over the time steps of the history; z is its first token."""

    kind: Literal["transformer"] = "transformer"
    width: PositiveInt = Field(default=256, multiple_of=4)
    depth: PositiveInt = Field(default=4, description="Blocks of attention and two layers")
    heads: PositiveInt = Field(default=4, description="Of the attention; they share the width")
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @field_validator("heads")
    @classmethod
    def _share_the_width(cls, heads: int, found: Any) -> int:
        width = found.data.get("width", heads)
        if width % heads:
            raise ValueError(f"expected a divisor of the width {width}, found {heads}")
        return heads


TrunkConfig = Annotated[MLPTrunkConfig | TransformerTrunkConfig, Field(discriminator="kind")]


class ReadoutConfig(Config):
    """What tells `data.targets` from images, in training alone: it teaches the image encoders where things are."""

    weight: PositiveFloat = Field(
        default=10.0, description="Of the squared error, in normalised units, beside the NLL of the actions"
    )
    width: PositiveInt = Field(default=256, description="Of the hidden layer")


class FirstActionsConfig(Config):
    """The first actions of a chunk are taken, then the policy decides anew."""

    kind: Literal["first"] = "first"
    steps: PositiveInt = Field(default=1, description="How many, the chunk's length at most")


class EnsembleConfig(Config):
    """The policy decides at each step, and the mean of what its last chunks say of the step is taken."""

    kind: Literal["ensemble"] = "ensemble"
    decay: NonNegativeFloat = Field(
        default=0.01, description="0: all chunks weigh the same; the larger, the more the oldest counts"
    )


ExecutionConfig = Annotated[FirstActionsConfig | EnsembleConfig, Field(discriminator="kind")]


class PolicyConfig(Config):
    """Architecture of a policy."""

    history: PositiveInt = Field(default=1, description="Observations that the policy sees")
    chunk: PositiveInt = Field(default=1, description="Actions that it predicts")
    execution: ExecutionConfig = FirstActionsConfig()
    task_encoder: TaskEncoderConfig = LanguageConfig()
    z_noise: NonNegativeFloat = Field(default=0.0, description="Deviation of the noise on z in training")
    image_encoder: ImageEncoderConfig = Field(default=CNNConfig(), description="Of no effect where no image is seen")
    readout: ReadoutConfig = Field(default=ReadoutConfig(), description="Of no effect where nothing is to be told")
    trunk: TrunkConfig = MLPTrunkConfig()
    head: HeadConfig = GaussianHeadConfig()
    points: PointsConfig | None = Field(default=None, description="Positions among the observations; null: none known")
    normalization: NormalizationConfig = NormalizationConfig()

    @model_validator(mode="after")
    def _within_chunk(self) -> "PolicyConfig":
        if isinstance(self.execution, FirstActionsConfig) and self.execution.steps > self.chunk:
            raise ValueError(f"execution.steps: expected at most {self.chunk}, the chunk, found {self.execution.steps}")
        return self
