"""torchvision's residual networks, modulated by z in all four stages as in BC-Z (Jang et al. 2022, arXiv:2202.02005).

Legend: N images, h and w their size, Z width of z, F features.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models import get_model
from torchvision.ops import FrozenBatchNorm2d

from mtil.encoders.config import ResNetConfig
from mtil.encoders.film import FiLM
from mtil.encoders.image import ImageEncoder
from mtil.encoders.pooling import Keypoints
from mtil.encoders.torchvision_weights import read_weights
from mtil.encoders.tuning import TunedEncoder, tune
from mtil.errors import EncoderError
from mtil.hub.problems import reason

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, which the published weights were trained on
_FINEST = 4  # pixels to a cell of the first stage
_GROUP = 16  # channels normalised together


class ResNetEncoder(TunedEncoder, ImageEncoder):
    """A ResNet without its classifier; `(1 + gamma(z)) x + beta(z)` follows each of its stages.

    No layer keeps statistics of batches: they would differ between training and acting, and the average of the weights
    would be rolled out with statistics that are not its own. Pretrained batch normalisation is frozen at its published
    statistics, scale and shift, of which FiLM learns to depart; from scratch, groups of channels are normalised instead
    (Wu and He 2018, arXiv:1803.08494).

    Args:
        config: Depth, weights, pooling.
        condition: Z.
        fetch: Whether to look up pretrained weights; else they are to be loaded.

    Raises:
        EncoderError: The weights are missing, damaged or of another network.
    """

    smallest = 32
    mean: Tensor
    std: Tensor

    def __init__(self, config: ResNetConfig, *, condition: int, fetch: bool = True) -> None:
        super().__init__()
        name = f"resnet{config.depth}"
        norm = FrozenBatchNorm2d if config.weights else _group_norm
        self.network: Any = get_model(name, weights=None, norm_layer=norm)
        classifier, self.network.fc = self.network.fc, nn.Identity()
        if config.weights and fetch:
            _fill(self.network, name, config.weights)
        self.tuning = config.tuning
        example = torch.zeros(1, 3, 32, 32)
        tune(self.network, config.tuning, features=lambda: self.network(example), what=name)
        channels = [classifier.in_features // 2**i for i in (3, 2, 1, 0)]
        self.films = nn.ModuleList(FiLM(condition, each) for each in channels) if config.film else None
        self._first = [4, 8, 16, 32].index(config.resolution)
        self.keypoints = None
        if config.pooling == "spatial_softmax":
            self.keypoints = Keypoints(channels[self._first :], keypoints=config.keypoints, strength=config.strength)
        self.width = classifier.in_features if self.keypoints is None else self.keypoints.width
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Float[Tensor, "N 3 h w"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        network, maps = self.network, []
        hidden = network.maxpool(network.relu(network.bn1(network.conv1((images - self.mean) / self.std))))
        for row, stage in enumerate((network.layer1, network.layer2, network.layer3, network.layer4)):
            hidden = stage(hidden)
            if self.films is not None:
                hidden = self.films[row](hidden, z)
            maps.append(hidden)
        return hidden.mean((2, 3)) if self.keypoints is None else self.keypoints(maps[self._first :])


def _group_norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // _GROUP, channels)


def _fill(network: nn.Module, name: str, weights: str) -> None:
    """Load published or local weights into a network that has no classifier."""
    found = read_weights(name, weights)
    used = {key: tensor for key, tensor in found.items() if not key.startswith("fc.")}
    try:
        network.load_state_dict(used)
    except RuntimeError as error:
        raise EncoderError(f"{weights}: weights of another network than {name}: {reason(error)}") from None
