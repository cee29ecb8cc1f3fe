"""Vision models of Hugging Face's as image encoders.

Legend: N images, h and w their size, L tokens, D features of a token, Z width of z, F features of an image.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from mtil.encoders.config import PretrainedConfig
from mtil.encoders.film import FiLM
from mtil.encoders.hub import load_network, locate, quiet, reason
from mtil.encoders.image import FrozenEncoder
from mtil.encoders.pooling import AttentionPool, MeanPool
from mtil.errors import CheckpointError, EncoderError

ARCHITECTURE = "architecture"


class Preprocessing(NamedTuple):
    """What a model expects of images: pixels along each side, and mean and deviation of each colour."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class PretrainedEncoder(FrozenEncoder):
    """A vision model, its patches pooled and modulated by z.

    The whole image is resized to what the model was trained on, never cropped. The model's configuration is part of the
    state, as JSON in bytes, so that a policy is loaded without the model's files.

    Args:
        config: Which model, whether it is trained, how it is pooled.
        condition: Z.
        state: Of such an encoder, where it is to be loaded: the model is then not looked up.

    Raises:
        EncoderError: The model is missing, incomplete, or sees no images.
        CheckpointError: The state is of another kind of encoder.
    """

    smallest = 1
    architecture: Tensor
    network: Any

    def __init__(self, config: PretrainedConfig, *, condition: int, state: Mapping[str, Tensor] | None = None) -> None:
        super().__init__()
        self.network, self._expects = _fetch(config.model) if state is None else _restore(state)
        self.frozen = not config.trainable
        self.network.requires_grad_(config.trainable)
        if config.trainable:
            _freeze_what_is_not_used(self.network, self._expects.size)
        self.register_buffer(ARCHITECTURE, _written(self.network, self._expects))
        features = _features(self.network)
        pool = AttentionPool if config.pooling == "attention" else MeanPool
        self.pool = pool(features, config.width)
        self.film = FiLM(condition, config.width) if config.film else None
        self.width = config.width
        self.train()

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """The model stays in evaluation mode, trained or not: it must not take statistics of batches (see `resnet`)."""
        super().train(mode)
        self.network.eval()
        return self

    def look(self, images: Float[Tensor, "N 3 h w"]) -> Float[Tensor, "N D _ _"]:
        size, mean, std = self._expects
        resized = F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)
        scaled = (resized - images.new_tensor(mean).view(3, 1, 1)) / images.new_tensor(std).view(3, 1, 1)
        with torch.set_grad_enabled(not self.frozen and torch.is_grad_enabled()):
            found = self.network(pixel_values=scaled).last_hidden_state
        return _patches(found, self.network.config, size)

    def read(self, looked: Float[Tensor, "N D _ _"], z: Float[Tensor, "N Z"]) -> Float[Tensor, "N F"]:
        pooled = self.pool(looked)
        return pooled if self.film is None else self.film(pooled, z)


def _fetch(model: str) -> tuple[nn.Module, Preprocessing]:
    folder = locate(model)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):  # weights that are missing and not used are drawn at random
            return _load(folder)
    except Exception as error:  # transformers promises no list of what it raises over a folder it cannot use
        raise EncoderError(f"{model}: cannot be used as an image encoder: {reason(error)}") from error


def _load(folder: Any) -> tuple[nn.Module, Preprocessing]:
    from transformers import AutoConfig, AutoImageProcessor

    local = {"local_files_only": True, "trust_remote_code": False}
    whole = AutoConfig.from_pretrained(folder, **local)
    network: Any = load_network(folder, spare="pooler.", config=getattr(whole, "vision_config", whole))
    if network.main_input_name != "pixel_values":
        raise ValueError(f"it takes {network.main_input_name}, not images")
    processor = AutoImageProcessor.from_pretrained(folder, **local)
    size = dict(processor.crop_size or processor.size)
    pixels = int(size.get("height") or size["shortest_edge"])
    return network, Preprocessing(pixels, tuple(processor.image_mean), tuple(processor.image_std))


def _restore(state: Mapping[str, Tensor]) -> tuple[nn.Module, Preprocessing]:
    """The network that a state was taken of, its weights yet to be loaded."""
    from transformers import AutoConfig, AutoModel

    if ARCHITECTURE not in state:
        raise CheckpointError("weights do not fit the policy: they hold no pretrained image encoder")
    written = json.loads(bytes(state[ARCHITECTURE].tolist()))
    network = AutoModel.from_config(AutoConfig.for_model(**written["network"]))
    return network, Preprocessing(written["size"], tuple(written["mean"]), tuple(written["std"]))


def _freeze_what_is_not_used(network: Any, size: int) -> None:
    """Leave out of the training what the patches' features do not depend on, such as a classification token's layers.

    Several ranks wait for the gradient of every weight that is trained.
    """
    weights = list(network.parameters())
    found = network.eval()(pixel_values=torch.zeros(1, 3, size, size)).last_hidden_state.sum()
    gradients = torch.autograd.grad(found, weights, allow_unused=True)
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.requires_grad_(gradient is not None)


def _written(network: Any, expects: Preprocessing) -> Tensor:
    described = {name: value for name, value in network.config.to_dict().items() if not name.startswith("_")}
    text = json.dumps({"network": described, **expects._asdict()}, sort_keys=True)
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def _features(network: Any) -> int:
    """D. (Convolutional models list the sizes of their stages.)"""
    sizes = getattr(network.config, "hidden_sizes", None)
    return sizes[-1] if sizes else network.config.hidden_size


def _patches(found: Float[Tensor, "N ..."], config: Any, size: int) -> Float[Tensor, "N D _ _"]:
    """Features of the image's patches as a map, without the tokens that a transformer puts before them."""
    if found.ndim == 4:
        return found
    patch = getattr(config, "patch_size", None)
    side = size // patch if patch else math.isqrt(found.shape[1])
    return found[:, -side * side :].transpose(1, 2).unflatten(2, (side, side))
