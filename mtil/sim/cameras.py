"""The cameras of an environment: one that films it, and one for each view among its observations."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

from collections.abc import Hashable, Sequence

import mujoco
import numpy as np
from gymnasium.spaces import Box
from jaxtyping import UInt8

from mtil.errors import SimulatorError
from mtil.sim.rendering import OffscreenCamera
from mtil.types import CameraView

_SAMPLES = 2  # of a view's pixel along each side: markers of goals are as small as two pixels


class Cameras:
    """Cameras of one MuJoCo model.

    Args:
        model: The model.
        film: Name of the camera that films it, if one does.
        film_size: Height and width of the film in pixels.
        views: What observations show.
        look: See `canvas`.

    Attributes:
        spaces: By key of a view, its images.

    Raises:
        SimulatorError: There is no such camera, or rendering does not work on this machine.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        film: str | None,
        film_size: int,
        views: Sequence[CameraView],
        look: Hashable,
    ) -> None:
        self._film = OffscreenCamera(model, name=film, size=film_size, look=look) if film else None
        self._views = {
            view.key: OffscreenCamera(
                model, name=view.camera, size=view.size, crop=view.crop, samples=_SAMPLES, look=look
            )
            for view in views
        }
        self.spaces = {view.key: Box(0, 255, (view.size, view.size, 3), np.uint8) for view in views}

    def filmed(self, data: mujoco.MjData) -> UInt8[np.ndarray, "size size 3"]:
        """An image of the film, RGB and upright.

        Raises:
            SimulatorError: Nothing films.
        """
        if self._film is None:
            raise SimulatorError("nothing to render: the environment was made without a camera")
        return self._film.image(data)

    def seen(self, data: mujoco.MjData) -> dict[str, UInt8[np.ndarray, "size size 3"]]:
        """By key of a view, its image, RGB and upright."""
        return {key: camera.image(data) for key, camera in self._views.items()}

    def close(self) -> None:
        """Close all of them."""
        for camera in (self._film, *self._views.values()):
            if camera is not None:
                camera.close()
