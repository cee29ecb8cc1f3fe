"""The task as a clip of somebody doing it: frames seen one by one, and attention over time.

BC-Z (Jang et al. 2022, arXiv:2202.02005) embeds videos of the task so; its encoder was never released.

Legend: N clips, F frames of a clip, h x w pixels, D features of a frame, Z width of z.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mtil.encoders.backbone import build_backbone, look, read, see
from mtil.encoders.base import Clip, ClipEncoder
from mtil.encoders.config import VideoConfig, VideoModelConfig
from mtil.encoders.image import FrozenEncoder
from mtil.encoders.vision import part_of
from mtil.types import FeatureSpec


class VideoEncoder(ClipEncoder):
    """A backbone for each frame, and a transformer over the frames, of which a learned query is read out.

    Args:
        config: Which backbone, and how many frames.
        clip: What a frame is.
        state: Of such an encoder, where it is to be loaded: no pretrained backbone is then looked up.

    Raises:
        EncoderError: Frames are too small for the backbone, or pretrained weights are missing.
    """

    def __init__(self, config: VideoConfig, clip: FeatureSpec, *, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        assert not isinstance(config.backbone, VideoModelConfig), "a video model sees clips as a whole"
        self.width, self.shape = config.width, (config.frames, *clip.shape)
        stored = part_of(state, "backbone.")
        self.backbone = build_backbone(config.backbone, clip, state=stored)
        self.frozen = isinstance(self.backbone, FrozenEncoder) and self.backbone.frozen
        features = config.features
        self.frame = nn.Sequential(nn.Linear(self.backbone.width, features), nn.LayerNorm(features))
        self.time = nn.Parameter(0.02 * torch.randn(config.frames, features))
        self.query = nn.Parameter(0.02 * torch.randn(1, 1, features))
        layer = nn.TransformerEncoderLayer(
            features, config.heads, 2 * features, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.attention = nn.TransformerEncoder(layer, config.depth, enable_nested_tensor=False)
        self.output = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, config.width), nn.LayerNorm(config.width)
        )

    def prepare(self, descriptors: Sequence[Clip]) -> Shaped[Tensor, "N F ..."]:
        clips = self.stacked(descriptors)
        if not self.frozen:
            return clips
        assert isinstance(self.backbone, FrozenEncoder)
        return look(self.backbone, clips.flatten(0, 1), self.time.dtype).unflatten(0, clips.shape[:2])

    def forward(self, prepared: Shaped[Tensor, "N F ..."]) -> Float[Tensor, "N Z"]:
        frames = prepared.flatten(0, 1)
        if isinstance(self.backbone, FrozenEncoder) and prepared.is_floating_point():
            seen = read(self.backbone, frames, self.time.dtype)
        else:
            seen = see(self.backbone, frames, self.time.dtype)
        tokens = self.frame(seen.unflatten(0, prepared.shape[:2])) + self.time
        found = self.attention(torch.cat([self.query.expand(len(tokens), -1, -1).to(tokens.dtype), tokens], 1))
        return self.output(found[:, 0])
