"""Configuration of encoders and of normalisation."""

from typing import Annotated, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mtil.config import Config
from mtil.data.kinds import DescriptorKind
from mtil.encoders.tuning_config import FrozenTuning, FullTuning, PretrainedModelConfig, Tuning

Channels = Annotated[int, Field(ge=16, multiple_of=16)]
Keypoints = Annotated[int, Field(ge=1, description="Places in the image that the policy is told")]
Strength = Annotated[bool, Field(description="Whether it is told how clearly each is seen, too")]


class _ImageEncoderConfig(Config):
    shared: bool = Field(default=False, description="One encoder for all cameras, told which one; or one for each")
    film: bool = Field(default=True, description="Whether z modulates what is seen, or enters in the trunk alone")


class CNNConfig(_ImageEncoderConfig):
    """A small convolutional network, trained from scratch, that tells where things are in the image."""

    kind: Literal["cnn"] = "cnn"
    channels: tuple[Channels, ...] = Field(
        default=(32, 64, 128),
        min_length=1,
        description="Of each stage; at a quarter of the image's size, then half of the last",
    )
    norm: Literal["group", "none"] = Field(default="group", description="After the convolutions")
    keypoints: Keypoints = 32
    strength: Strength = True
    resolution: Literal[4, 8] = Field(default=4, description="Pixels of the image to a cell of the keypoints' maps")


class ResNetConfig(_ImageEncoderConfig):
    """A residual network of torchvision's, modulated by z after each of its four stages."""

    kind: Literal["resnet"] = "resnet"
    depth: Literal[18, 34, 50] = 18
    weights: str | None = Field(
        default=None, description="torchvision's name of them, such as IMAGENET1K_V1, or a file; null: from scratch"
    )
    tuning: Tuning = FullTuning()
    pooling: Literal["spatial_softmax", "average"] = "spatial_softmax"
    keypoints: Keypoints = 32
    strength: Strength = True
    resolution: Literal[4, 8, 16, 32] = Field(default=8, description="Pixels to a cell of the keypoints' maps")


class PooledConfig(_ImageEncoderConfig):
    """A pretrained vision model, whose patches are pooled."""

    model: str
    tuning: Tuning = FrozenTuning()
    pooling: Literal["attention", "mean"] = "attention"
    width: PositiveInt = Field(default=256, multiple_of=32, description="Features of an image")


class PretrainedConfig(PooledConfig, PretrainedModelConfig):
    """A vision model of Hugging Face's, whose tokens are pooled."""

    kind: Literal["pretrained"] = "pretrained"
    model: str = Field(description="Id on the Hub, or local folder")


class TorchvisionConfig(PooledConfig):
    """A classifier of torchvision's without its last layers, whose last map, or tokens, are pooled."""

    kind: Literal["torchvision"] = "torchvision"
    model: str = Field(description="torchvision's name of it, such as convnext_tiny or vit_b_16")
    weights: str = Field(default="DEFAULT", description="torchvision's name of them, such as IMAGENET1K_V1, or a file")


ImageEncoderConfig = Annotated[
    CNNConfig | ResNetConfig | PretrainedConfig | TorchvisionConfig, Field(discriminator="kind")
]


class OneHotConfig(Config):
    """A learned vector for each task of the vocabulary."""

    kind: Literal["one_hot"] = "one_hot"
    width: PositiveInt = Field(default=64, description="Size of z")


class UnconditionalConfig(Config):
    """One learned vector for all tasks: a policy that is not told its task, the control for those that are."""

    kind: Literal["none"] = "none"
    width: PositiveInt = Field(default=64, description="Size of z")


class LanguageConfig(PretrainedModelConfig):
    """A sentence embedding and a trained projection of it."""

    kind: Literal["language"] = "language"
    model: str = Field(default="all-MiniLM-L6-v2", description="A Hugging Face text encoder: id or local folder")
    width: PositiveInt = Field(default=64, description="Size of z")
    hidden: PositiveInt = Field(default=256, description="Width of the projection's hidden layer")


class VideoModelConfig(PretrainedModelConfig):
    """A video model of Hugging Face's, which sees a clip as a whole; its tokens are pooled."""

    kind: Literal["video_model"] = "video_model"


ClipBackboneConfig = Annotated[
    CNNConfig | ResNetConfig | PretrainedConfig | TorchvisionConfig | VideoModelConfig, Field(discriminator="kind")
]


def _without_z(backbone: ImageEncoderConfig | VideoModelConfig) -> None:
    if not isinstance(backbone, VideoModelConfig) and backbone.film:
        raise ValueError("backbone.film: expected false, since there is no z yet to modulate with; found true")


class VideoConfig(Config):
    """Frames of a clip, each seen by an image encoder, and pooled by attention over time; or seen by a video model."""

    kind: Literal["video"] = "video"
    width: PositiveInt = Field(default=64, description="Size of z")
    frames: PositiveInt = Field(default=4, description="Of a clip, spread evenly over it")
    backbone: ClipBackboneConfig = Field(
        default=CNNConfig(channels=(16, 32, 64), film=False),
        description="What sees a frame; without z, film=false. Or a video model",
    )
    features: PositiveInt = Field(default=128, description="Of a frame, in the attention; or of the clip")
    depth: PositiveInt = Field(default=1, description="Layers of attention over frames")
    heads: PositiveInt = Field(default=4, description="Of that attention; they share the features")

    @model_validator(mode="after")
    def _consistent(self) -> "VideoConfig":
        if isinstance(self.backbone, VideoModelConfig) and self.features % 32:
            raise ValueError(f"features: expected a multiple of 32 with a video model, found {self.features}")
        if self.features % self.heads:
            raise ValueError(f"heads: expected a divisor of the {self.features} features, found {self.heads}")
        _without_z(self.backbone)
        return self


class GoalConfig(Config):
    """A state that is to be reached, or an image of it, and a perceptron."""

    kind: Literal["goal"] = "goal"
    width: PositiveInt = Field(default=64, description="Size of z")
    hidden: PositiveInt = Field(default=256, description="Width of the hidden layer")
    backbone: ImageEncoderConfig = Field(
        default=CNNConfig(channels=(16, 32, 64), film=False),
        description="What sees an image, where goals are images; without z, film=false",
    )

    @model_validator(mode="after")
    def _consistent(self) -> "GoalConfig":
        _without_z(self.backbone)
        return self


class AlignmentConfig(Config):
    """A loss that draws the z of a clip to that of the sentence which tells the same task."""

    kind: Literal["cosine", "contrastive"] = "cosine"
    weight: PositiveFloat = Field(default=1.0, description="Beside the NLL of the actions")
    temperature: PositiveFloat = Field(default=0.1, description="Of the contrastive loss")


class MultimodalConfig(Config):
    """An encoder for each of several kinds; each example of a batch is conditioned on a descriptor of one of them."""

    kind: Literal["multimodal"] = "multimodal"
    one_hot: OneHotConfig | None = None
    language: LanguageConfig | None = None
    video: VideoConfig | None = None
    goal: GoalConfig | None = None
    weights: dict[DescriptorKind, PositiveFloat] = Field(
        default={}, description="How often each kind is drawn, relative to the others; 1 unless given"
    )
    alignment: AlignmentConfig | None = Field(
        default=None, description="Of video to language, both of which the policy then takes; null: none"
    )

    @model_validator(mode="after")
    def _in_one_space(self) -> "MultimodalConfig":
        parts = self.parts
        if len(parts) < 2:
            raise ValueError(f"expected two or more of {', '.join(self._all)}; found {', '.join(parts) or 'none'}")
        if len({part.width for part in parts.values()}) > 1:
            found = ", ".join(f"{kind} {part.width}" for kind, part in parts.items())
            raise ValueError(f"expected the same width for all kinds, found {found}")
        if self.alignment is not None and not {"video", "language"} <= parts.keys():
            raise ValueError(f"alignment: expected video and language among the kinds, found {', '.join(parts)}")
        for kind in self.weights:
            if kind not in parts:
                raise ValueError(f"weights: {kind} is none of this policy's kinds ({', '.join(parts)})")
        return self

    @property
    def parts(self) -> dict[DescriptorKind, "SingleEncoderConfig"]:
        """The encoder of each kind, in order."""
        return {kind: part for kind, part in self._all.items() if part is not None}

    @property
    def _all(self) -> dict[DescriptorKind, "SingleEncoderConfig | None"]:
        return {"one_hot": self.one_hot, "language": self.language, "video": self.video, "goal": self.goal}


SingleEncoderConfig = OneHotConfig | LanguageConfig | VideoConfig | GoalConfig | UnconditionalConfig
TaskEncoderConfig = Annotated[SingleEncoderConfig | MultimodalConfig, Field(discriminator="kind")]


def encoder_parts(config: TaskEncoderConfig) -> dict[DescriptorKind, SingleEncoderConfig]:
    """The encoder of each kind of descriptor that a policy takes, in order."""
    return config.parts if isinstance(config, MultimodalConfig) else {config.kind: config}


def kind_weights(config: TaskEncoderConfig) -> dict[DescriptorKind, float]:
    """How often an example is conditioned on each of these kinds, relative to the others."""
    weights = config.weights if isinstance(config, MultimodalConfig) else {}
    return {kind: weights.get(kind, 1.0) for kind in encoder_parts(config)}


def clip_frames(config: TaskEncoderConfig) -> int | None:
    """Frames of the clips that show a policy its tasks, if clips do."""
    video = encoder_parts(config).get("video")
    return video.frames if isinstance(video, VideoConfig) else None


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
