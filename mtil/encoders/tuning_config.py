"""How a pretrained network is trained along: not at all, by a few weights beside its own, or whole."""

from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from mtil.config import Config


class FrozenTuning(Config):
    """Its weights stay as they are; what it makes of finitely many inputs is computed once."""

    kind: Literal["frozen"] = "frozen"


class _Trained(Config):
    learning_rate: PositiveFloat | None = Field(default=None, description="Of its weights; null: the optimiser's")
    warmup_steps: NonNegativeInt | None = Field(default=None, description="Of that rate; null: the optimiser's")


class LoRATuning(_Trained):
    """Its weights stay; matrices of low rank that are added to some are trained (Hu et al. 2021, arXiv:2106.09685)."""

    kind: Literal["lora"] = "lora"
    rank: PositiveInt = 8
    alpha: PositiveFloat = Field(default=16.0, description="What is added counts alpha / rank")
    targets: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Names, or ends of names, of layers; null: queries and values, or else convolutions",
    )


class FullTuning(_Trained):
    """All its weights are trained."""

    kind: Literal["full"] = "full"
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="Factor of the learning rate from each layer to the one before it"
    )


Tuning = Annotated[FrozenTuning | LoRATuning | FullTuning, Field(discriminator="kind")]


class PretrainedModelConfig(Config):
    """A model of Hugging Face's, and how it is trained along."""

    model: str = Field(description="Id on the Hub, or local folder")
    tuning: Tuning = FrozenTuning()

    @model_validator(mode="before")
    @classmethod
    def _trainable(cls, values: Any) -> Any:
        """Earlier configurations say `trainable` instead."""
        if not isinstance(values, dict) or not isinstance(values.get("trainable"), bool) or "tuning" in values:
            return values
        rest = {name: value for name, value in values.items() if name != "trainable"}
        return {"tuning": {"kind": "full" if values["trainable"] else "frozen"}, **rest}
