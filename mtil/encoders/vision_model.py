"""Vision models of Hugging Face's, of images and of videos: fetched, or built again from a policy's state."""

import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mtil.encoders.hub import load_network, locate, quiet
from mtil.encoders.pooled import Preprocessing
from mtil.errors import CheckpointError, EncoderError
from mtil.hub.problems import reason

ARCHITECTURE = "architecture"
_INPUTS = ("pixel_values", "pixel_values_videos")


def fetch(model: str, *, use: str) -> tuple[nn.Module, Preprocessing]:
    """A model by its id or folder.

    Args:
        model: Id or folder.
        use: What it is to be used as, in words.

    Raises:
        EncoderError: It is missing, incomplete, or sees no images.
    """
    folder = locate(model)
    try:
        with quiet(), torch.random.fork_rng(devices=[]):  # weights that are missing and not used are drawn at random
            return _load(folder)
    except Exception as error:  # transformers promises no list of what it raises over a folder it cannot use
        raise EncoderError(f"{model}: cannot be used as {use}: {reason(error)}") from error


def restore(state: Mapping[str, Tensor]) -> tuple[nn.Module, Preprocessing]:
    """The network that a state was taken of, its weights yet to be loaded.

    Raises:
        CheckpointError: The state is of another kind of encoder.
    """
    from transformers import AutoConfig, AutoModel

    if ARCHITECTURE not in state:
        raise CheckpointError("weights do not fit the policy: they hold no pretrained image encoder")
    written = json.loads(bytes(state[ARCHITECTURE].tolist()))
    network = AutoModel.from_config(AutoConfig.for_model(**written["network"]))
    return network, Preprocessing(written["size"], tuple(written["mean"]), tuple(written["std"]))


def architecture(network: Any, expects: Preprocessing) -> Tensor:
    """What `restore` builds the network of: JSON, in bytes, as part of a state."""
    described = {name: value for name, value in network.config.to_dict().items() if not name.startswith("_")}
    text = json.dumps({"network": described, **expects._asdict()}, sort_keys=True)
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def _load(folder: Any) -> tuple[nn.Module, Preprocessing]:
    from transformers import AutoConfig

    whole = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    network: Any = load_network(folder, spare="pooler.", config=getattr(whole, "vision_config", whole))
    if network.main_input_name not in _INPUTS:
        raise ValueError(f"it takes {network.main_input_name}, not images")
    processor = _processor(folder)
    size = dict(processor.crop_size or processor.size)
    pixels = int(size.get("height") or size["shortest_edge"])
    return network, Preprocessing(pixels, tuple(processor.image_mean), tuple(processor.image_std))


def _processor(folder: Any) -> Any:
    """The processor of images, or of videos where there is no other."""
    from transformers import AutoImageProcessor, AutoVideoProcessor

    images = (folder / "preprocessor_config.json").exists() or not (folder / "video_preprocessor_config.json").exists()
    kind = AutoImageProcessor if images else AutoVideoProcessor
    return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
