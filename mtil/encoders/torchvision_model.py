"""Any of torchvision's classifiers as an image encoder: all of it up to its last map, or its last tokens.

Legend: N images, h and w their size, D features of a patch.
"""

import math
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torchvision
from jaxtyping import Float
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torchvision.models import get_model, get_model_weights, list_models

from mtil.encoders.config import TorchvisionConfig
from mtil.encoders.pooled import PooledEncoder, Preprocessing, as_map
from mtil.encoders.torchvision_weights import read_weights
from mtil.errors import EncoderError, unknown
from mtil.hub.problems import reason

_HEADS = ("classifier", "fc", "head", "heads")  # names of the layers that tell the classes


class TorchvisionEncoder(PooledEncoder):
    """A classifier of torchvision's without its last layers, its patches pooled and modulated by z.

    Args:
        config: Which model, which weights, how it is trained along, how it is pooled.
        condition: Z.
        fetch: Whether to look up pretrained weights; else they are to be loaded.

    Raises:
        EncoderError: There is no such model; its weights are missing, damaged or of another; or it has no such layers
            as LoRA is to adapt.
    """

    def __init__(self, config: TorchvisionConfig, *, condition: int, fetch: bool = True) -> None:
        if config.model not in list_models(module=torchvision.models):
            raise EncoderError(unknown("model of torchvision", config.model, list_models(module=torchvision.models)))
        expects = _expected(config)
        with torch.random.fork_rng(devices=[]):  # weights are drawn at random before they are loaded
            network = _up_to_patches(config.model, expects.size)
        if fetch:
            _fill(network, config)
        super().__init__(network, expects, config, condition=condition)

    def patches(self, images: Float[Tensor, "N 3 h w"]) -> Float[Tensor, "N D _ _"]:
        found = self.network(images)
        return found if found.ndim == 4 else as_map(found, math.isqrt(found.shape[1]))


def _expected(config: TorchvisionConfig) -> Preprocessing:
    """What the published weights are given, the best of them where others are used."""
    published: Any = get_model_weights(config.model)
    weights = published.__members__.get(config.weights, published.DEFAULT)
    given = weights.transforms()
    return Preprocessing(given.crop_size[0], tuple(given.mean), tuple(given.std))


def _up_to_patches(name: str, size: int) -> fx.GraphModule:
    """A network that gives the last map of the one named that is larger than one cell, or the last tokens."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that its random weights are drawn slowly
        whole: Any = get_model(name, weights=None).eval()
    if hasattr(whole, "transform_input"):
        whole.transform_input = True  # as the published weights were trained
    traced = fx.symbolic_trace(whole)
    with torch.no_grad():
        ShapeProp(traced).propagate(torch.zeros(1, 3, size, size))
    graph = traced.graph
    last = [node for node in _before_the_head(graph) if _is_spatial(node)][-1]
    (output,) = (node for node in graph.nodes if node.op == "output")
    output.args = (last,)
    graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    return traced


def _before_the_head(graph: fx.Graph) -> Iterator[fx.Node]:
    for node in graph.nodes:
        if node.op == "call_module" and str(node.target).split(".")[0] in _HEADS:
            return
        yield node


def _is_spatial(node: fx.Node) -> bool:
    shape = getattr(node.meta.get("tensor_meta"), "shape", ())
    return len(shape) == 3 or (len(shape) == 4 and min(shape[2:]) > 1)


def _fill(network: nn.Module, config: TorchvisionConfig) -> None:
    """Load published or local weights of the whole classifier into what there is of it."""
    found: Mapping[str, Tensor] = read_weights(config.model, config.weights)
    used = {name: found[name] for name in network.state_dict() if name in found}
    try:
        network.load_state_dict(used)
    except RuntimeError as error:
        other = f"{config.weights}: weights of another network than {config.model}"
        raise EncoderError(f"{other}: {reason(error)}") from None
