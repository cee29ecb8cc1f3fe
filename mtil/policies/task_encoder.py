"""From a configuration to the task encoder of one kind of descriptor."""

from collections.abc import Mapping
from typing import Any, assert_never

from torch import Tensor

from mtil.data.descriptors import descriptor_table
from mtil.encoders.base import TaskEncoder
from mtil.encoders.config import (
    GoalConfig,
    LanguageConfig,
    OneHotConfig,
    SingleEncoderConfig,
    UnconditionalConfig,
    VideoConfig,
    VideoModelConfig,
)
from mtil.encoders.goal import GoalEncoder
from mtil.encoders.language import LanguageEncoder
from mtil.encoders.one_hot import OneHotEncoder
from mtil.encoders.tuned_language import TunedLanguageEncoder
from mtil.encoders.tuning_config import FullTuning, LoRATuning
from mtil.encoders.unconditional import UnconditionalEncoder
from mtil.encoders.video import VideoEncoder
from mtil.encoders.video_model import VideoModelEncoder
from mtil.errors import EncoderError
from mtil.types import DatasetSpec


def build_task_encoder(
    config: SingleEncoderConfig,
    spec: DatasetSpec,
    state: Mapping[str, Tensor] | None = None,
    *,
    before: DatasetSpec | None = None,
) -> TaskEncoder[Any]:
    """The task encoder of one kind for a vocabulary.

    Args:
        config: Which encoder.
        spec: The vocabulary.
        state: Of such an encoder, where it is to be loaded: nothing pretrained is then looked up.
        before: The vocabulary that the state is of, where it is another: sentences that are not in it are embedded.

    Raises:
        EncoderError: A pretrained model is missing, or is none.
    """
    match config:
        case OneHotConfig():
            return OneHotEncoder(spec.task_names, width=config.width)
        case LanguageConfig(tuning=LoRATuning() | FullTuning()):
            return TunedLanguageEncoder(config, descriptor_table("language", spec).rows, state=state)
        case LanguageConfig():
            sentences = descriptor_table("language", spec).rows
            embedded = descriptor_table("language", before or spec).rows
            known = {} if state is None else dict(zip(embedded, state.get("embeddings", ()), strict=False))
            return LanguageEncoder(
                config.model,
                sentences,
                known=known,
                width=config.width,
                hidden=config.hidden,
            )
        case UnconditionalConfig():
            return UnconditionalEncoder(width=config.width)
        case VideoConfig():
            if spec.clip is None:
                raise EncoderError("a policy that is told its tasks by video needs data with clips (data.clips)")
            whole = isinstance(config.backbone, VideoModelConfig)
            return (VideoModelEncoder if whole else VideoEncoder)(config, spec.clip, state=state)
        case GoalConfig():
            return GoalEncoder(config, spec.goal, state=state)
        case _:
            assert_never(config)
