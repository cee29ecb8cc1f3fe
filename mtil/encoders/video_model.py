"""The task as a clip, seen as a whole by a video model of Hugging Face's.

Legend: N clips, F frames of a clip, L tokens, D features of a token, h x w pixels, Z width of z.
"""

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor, nn

from mtil.encoders.base import Clip, ClipEncoder
from mtil.encoders.config import VideoConfig, VideoModelConfig
from mtil.encoders.pooled import as_expected
from mtil.encoders.pooling import AttentionPool
from mtil.encoders.tuning import TunedEncoder, tune
from mtil.encoders.tuning_config import FrozenTuning
from mtil.encoders.vision_model import ARCHITECTURE, architecture, fetch, restore
from mtil.errors import EncoderError
from mtil.types import FeatureSpec


class VideoModelEncoder(TunedEncoder, ClipEncoder):
    """A video model, its tokens pooled by learned queries, and projected.

    Args:
        config: Of the encoder, its backbone a video model.
        clip: What a frame is.
        state: Of such an encoder, where it is to be loaded: the model is then not looked up.

    Raises:
        EncoderError: The model is missing or incomplete, sees no videos, or clips of another length.
        CheckpointError: The state is of another kind of encoder.
    """

    architecture: Tensor
    network: Any

    def __init__(self, config: VideoConfig, clip: FeatureSpec, *, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        backbone = config.backbone
        assert isinstance(backbone, VideoModelConfig), "another encoder sees frames one by one"
        self.width, self.shape = config.width, (config.frames, *clip.shape)
        fetched = fetch(backbone.model, use="an encoder of videos") if state is None else restore(state)
        self.network, self._expects = fetched
        self.tuning, self.frozen = backbone.tuning, isinstance(backbone.tuning, FrozenTuning)
        predicts = "skip_predictor" in signature(self.network.forward).parameters  # V-JEPA's, which is not used
        self._options = {"skip_predictor": True} if predicts else {}
        self._check_frames(backbone.model)
        self.register_buffer(ARCHITECTURE, architecture(self.network, self._expects))
        example = torch.zeros(1, config.frames, 3, self._expects.size, self._expects.size)
        tune(self.network, backbone.tuning, features=lambda: self._seen(example), what=backbone.model)
        self.pool = AttentionPool(self.network.config.hidden_size, config.features)
        self.output = nn.Sequential(
            nn.LayerNorm(config.features), nn.Linear(config.features, config.width), nn.LayerNorm(config.width)
        )
        self.train()

    def prepare(self, descriptors: Sequence[Clip]) -> Shaped[Tensor, "N ..."]:
        clips = self.stacked(descriptors)
        return torch.cat([self._look(clip) for clip in clips.split(1)]) if self.frozen else clips

    def forward(self, prepared: Shaped[Tensor, "N ..."]) -> Float[Tensor, "N Z"]:
        tokens = prepared if prepared.is_floating_point() else self._look(prepared)
        return self.output(self.pool(tokens.transpose(1, 2).unsqueeze(2)))

    def _look(self, clips: UInt8[Tensor, "N F h w 3"]) -> Float[Tensor, "N L D"]:
        pixels = clips.flatten(0, 1).permute(0, 3, 1, 2).to(next(self.parameters()).dtype) / 255
        scaled = as_expected(pixels, self._expects).unflatten(0, clips.shape[:2])
        with torch.set_grad_enabled(not self.frozen and torch.is_grad_enabled()):
            return self._seen(scaled)

    def _seen(self, scaled: Float[Tensor, "N F 3 _ _"]) -> Float[Tensor, "N L D"]:
        return self.network(**{self.network.main_input_name: scaled}, **self._options).last_hidden_state

    def _check_frames(self, model: str) -> None:
        """Check that the model sees videos, and clips of so many frames."""
        config = self.network.config
        frames = getattr(config, "num_frames", getattr(config, "frames_per_clip", None))
        if frames is None:
            raise EncoderError(f"{model}: expected a model of videos, found {type(self.network).__name__}")
        if frames != self.shape[0]:
            raise EncoderError(
                f"{model}: expected frames={frames} of a clip, as it was trained on, found {self.shape[0]}"
            )
