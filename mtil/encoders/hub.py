"""Pretrained networks of Hugging Face's: found in a folder, in the Hub's local cache or on the Hub, and loaded.

Nothing is unpickled, and no code that comes with a model is run.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from mtil.errors import EncoderError, HubError
from mtil.hub.fetching import fetch
from mtil.hub.names import HubName

MODEL_FILES: tuple[str, ...] = ("*.safetensors", "*.json", "*.txt", "*.model")
POOLING = "1_Pooling/config.json"  # how sentence-transformers pool tokens
_FOLDERS = "[!1]*/*"  # exports to other formats, and so on


def locate(model: str) -> Path:
    """The folder of a model, given as one or by its id.

    Raises:
        EncoderError: There is none; the message tells whether it is the name, the network, or the model's terms.
    """
    folder = Path(model).expanduser()
    if folder.is_dir():
        return checked(folder, model)
    if model.startswith((".", "/", "~")) or folder.exists():
        raise EncoderError(f"{model}: expected a folder with config.json and .safetensors weights, found none there")
    return from_hub(model, hint="give a local path")


def from_hub(model: str, *, hint: str) -> Path:
    """The folder of a model on the Hub, downloaded if it is not in the Hub's own cache.

    Raises:
        EncoderError: As `locate` does.
    """
    with contextlib.suppress(HubError, EncoderError):  # not there, or only in part
        return checked(_fetched(model, local=True), model)
    try:
        return checked(_fetched(model, local=False), model)
    except HubError as error:
        raise EncoderError(f"{error}; {hint}") from None


def _fetched(model: str, *, local: bool) -> Path:
    name = HubName.find(model) or HubName(model)  # some have no owner
    return fetch(name, kind="model", files=(*MODEL_FILES, POOLING), ignored=(_FOLDERS,), local=local)


def checked(folder: Path, model: str) -> Path:
    """A folder that holds a configuration and weights."""
    if not (folder / "config.json").is_file():
        raise EncoderError(f"{model}: expected config.json in {folder}, found none")
    if not any(folder.glob("*.safetensors")):
        raise EncoderError(f"{model}: expected .safetensors weights in {folder} (no other kind is loaded), found none")
    return folder


def load_network(folder: Path, *, spare: str, config: Any = None, kind: Any = None) -> torch.nn.Module:
    """The network of a folder, in single precision.

    Args:
        folder: As `locate` gives it.
        spare: Beginning of the names of weights that are not used, and may be missing.
        config: Its configuration, if not that of the folder.
        kind: Its class, if not the one that transformers takes for such a configuration.

    Raises:
        Exception: Of many kinds; transformers promises no list.
    """
    from transformers import AutoModel

    network, report = (kind or AutoModel).from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=torch.float32,
        output_loading_info=True,
    )
    missing = sorted(name for name in report["missing_keys"] if not name.startswith(spare))  # would be random
    if missing:
        raise ValueError(f"its weights lack {len(missing)} tensors that its config.json asks for, e.g. {missing[0]}")
    return network


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without progress bars and advice, and without the threads that make tokenizers warn at every later fork."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    parallelism = os.environ.get("TOKENIZERS_PARALLELISM")
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if parallelism is None:
            del os.environ["TOKENIZERS_PARALLELISM"]
        else:
            os.environ["TOKENIZERS_PARALLELISM"] = parallelism
