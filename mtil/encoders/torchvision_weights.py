"""Weights for torchvision's networks: published ones, by their name, or those of a file."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor
from torchvision.models import get_model_weights

from mtil.errors import EncoderError, unknown
from mtil.hub.problems import reason


def read_weights(name: str, weights: str) -> Mapping[str, Tensor]:
    """The state of a network.

    Args:
        name: torchvision's, of the network.
        weights: torchvision's name of them, or a file.

    Raises:
        EncoderError: They are missing or damaged.
    """
    published = get_model_weights(name).__members__
    file = Path(weights).expanduser()
    if weights in published:
        fetch = partial(published[weights].get_state_dict, progress=False, check_hash=True)
        problem = f"{name}: weights {weights} are not in the local cache and cannot be fetched; give a file"
    elif not file.is_file():
        raise EncoderError(f"{weights}: no such file, and {unknown(f'weights of {name}', weights, published)}")
    elif file.suffix == ".safetensors":
        fetch, problem = partial(safetensors.torch.load_file, file), f"{weights}: damaged, or no weights"
    else:
        fetch = partial(torch.load, file, map_location="cpu", weights_only=True)
        problem = f"{weights}: damaged, or no weights"
    try:
        return fetch()
    except Exception as error:  # of the network, of the disk, of the format
        raise EncoderError(f"{problem}: {reason(error)}") from None
