"""Images of cameras -> streams of features: one encoder for each camera, or one for all.

Legend: B batch, H history, N images, h and w the size of an image, F features, Z width of z.
"""

from collections.abc import Mapping, Sequence
from typing import assert_never

from jaxtyping import Float, Shaped
from torch import Tensor, nn

from mtil.encoders.cnn import CNNEncoder
from mtil.encoders.config import CNNConfig, ImageEncoderConfig, PretrainedConfig, ResNetConfig, TorchvisionConfig
from mtil.encoders.image import ImageEncoder
from mtil.encoders.pretrained import PretrainedEncoder
from mtil.errors import ConfigError
from mtil.types import FeatureSpec


class CameraEncoders(nn.Module):
    """One stream of features for each image key.

    An encoder for all cameras is told which one it sees by a learned offset of its z.

    Args:
        config: Which encoder.
        cameras: The image keys, in order; at least one.
        condition: Z.
        state: Of such encoders, where it is to be loaded: nothing pretrained is then looked up.

    Attributes:
        widths: F of each stream.

    Raises:
        ConfigError: Images are too small.
        EncoderError: Pretrained weights are missing or of another network.
    """

    def __init__(
        self,
        config: ImageEncoderConfig,
        cameras: Sequence[FeatureSpec],
        *,
        condition: int,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self._keys = [camera.key for camera in cameras]
        count = 1 if config.shared else len(cameras)
        stored = [part_of(state, f"encoders.{i}.") for i in range(count)]
        self.encoders = nn.ModuleList(build_image_encoder(config, condition=condition, state=each) for each in stored)
        self.offsets = nn.Embedding(len(cameras), condition) if config.shared else None
        self.widths = [encoder.width for encoder in self._each()]
        for camera, encoder in zip(cameras, self._each(), strict=True):
            if min(camera.shape[:2]) < encoder.smallest:
                size = "x".join(map(str, camera.shape[:2]))
                raise ConfigError(
                    f"policy.image_encoder: {config.kind} takes images of {encoder.smallest} pixels and more; "
                    f"{camera.key} has {size}"
                )

    def forward(
        self, observations: Mapping[str, Shaped[Tensor, "B H ..."]], z: Float[Tensor, "B Z"]
    ) -> list[Float[Tensor, "B H _"]]:
        """The stream of each camera, whose images have values from 0 to 255, channels last."""
        streams = []
        for row, (key, encoder) in enumerate(zip(self._keys, self._each(), strict=True)):
            images = observations[key]
            history = images.shape[1]
            told = z if self.offsets is None else z + self.offsets.weight[row]
            features = encoder(_unit(images.flatten(0, 1)), told.repeat_interleave(history, dim=0))
            streams.append(features.unflatten(0, (-1, history)))
        return streams

    def _each(self) -> list[ImageEncoder]:
        encoders: list[ImageEncoder] = list(self.encoders)  # type: ignore[arg-type]
        return encoders * len(self._keys) if self.offsets is not None else encoders


def build_image_encoder(
    config: ImageEncoderConfig, *, condition: int, state: Mapping[str, Tensor] | None = None
) -> ImageEncoder:
    """The image encoder that a configuration describes.

    Args:
        config: Which encoder.
        condition: Z.
        state: What is to be loaded into it; None: pretrained weights are looked up.

    Raises:
        EncoderError: Pretrained weights are missing or of another network.
    """
    match config:
        case CNNConfig():
            return CNNEncoder(config, condition=condition)
        case ResNetConfig():
            from mtil.encoders.resnet import ResNetEncoder  # torchvision takes a second to import

            return ResNetEncoder(config, condition=condition, fetch=state is None)
        case TorchvisionConfig():
            from mtil.encoders.torchvision_model import TorchvisionEncoder

            return TorchvisionEncoder(config, condition=condition, fetch=state is None)
        case PretrainedConfig():
            return PretrainedEncoder(config, condition=condition, state=state)
        case _:
            assert_never(config)


def part_of(state: Mapping[str, Tensor] | None, prefix: str) -> dict[str, Tensor] | None:
    """The state of the part of a module whose names begin so; None where there is nothing of it."""
    found = {n.removeprefix(prefix): tensor for n, tensor in (state or {}).items() if n.startswith(prefix)}
    return found or None


def _unit(images: Shaped[Tensor, "N h w 3"]) -> Float[Tensor, "N 3 h w"]:
    """Values in [0, 1]; the order in memory stays, channels last, which convolutions are fastest in."""
    return images.permute(0, 3, 1, 2).float() / 255
