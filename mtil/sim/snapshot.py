"""What an environment of Gymnasium renders, as square pictures.

Legend: H, W height and width of what is rendered.
"""

import os

import gymnasium
import numpy as np
from jaxtyping import Float, UInt8

from mtil.errors import SimulatorError
from mtil.sim.opengl import backend, prepare

Crop = tuple[float, float, float, float]
Picture = UInt8[np.ndarray, "H W 3"]

_ALL: Crop = (0.0, 0.0, 1.0, 1.0)


def rendered(env: gymnasium.Env) -> Picture:
    """What the environment renders now.

    Raises:
        SimulatorError: It is no RGB image, or rendering does not work on this machine.
    """
    viewer = getattr(getattr(env.unwrapped, "mujoco_renderer", None), "viewer", None)
    if viewer is not None:  # of two such environments, one would return the other's picture
        viewer.make_context_current()
    else:
        prepare()
        os.environ.setdefault("MUJOCO_GL", backend())  # or Gymnasium tries others first, and leaves them half made
    try:
        found = np.asarray(env.render())
    except gymnasium.error.Error as error:  # as where pygame is not installed
        raise SimulatorError(f"cannot be rendered: {error}") from error
    if found.dtype != np.uint8 or found.ndim != 3 or found.shape[2] != 3:
        raise SimulatorError(f"expected a rendered uint8 RGB image, found {found.dtype} of shape {found.shape}")
    return found


def square(picture: Picture, size: int, crop: Crop | None = None) -> UInt8[np.ndarray, "size size 3"]:
    """A picture, or what is kept of it, stretched to a square; each pixel is the mean of what it covers.

    Args:
        picture: The picture.
        size: Height and width in pixels.
        crop: Left, top, right and bottom of what is kept, as fractions; None: all of it.
    """
    left, top, right, bottom = crop or _ALL
    height, width, _ = picture.shape
    rows = _shares(height, top, bottom, size) @ picture.reshape(height, -1)
    columns = _shares(width, left, right, size) @ rows.reshape(size, width, 3)
    return np.rint(columns).astype(np.uint8)


def _shares(pixels: int, low: float, high: float, size: int) -> Float[np.ndarray, "size pixels"]:
    """How much each pixel along a side counts in each of those that the stretch from low to high is divided into."""
    edges = pixels * np.linspace(low, high, size + 1)
    at = np.arange(pixels)
    shared = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    shared = np.maximum(shared, 0)
    return shared / shared.sum(axis=1, keepdims=True)
