"""Pictures of a MuJoCo scene, off screen.

Legend: K samples of a pixel along each side, N geoms.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

from collections.abc import Hashable

import mujoco
import numpy as np
from jaxtyping import Bool, UInt8

from mtil.errors import SimulatorError, unknown
from mtil.sim.canvas import canvas

Crop = tuple[float, float, float, float]

_MAX_GEOMS = 1000
_MARGIN = 1e-3  # metres: more than single precision loses
_UP_Z = 7  # of a camera's flattened frame (columns right, up, back): how far its upward axis points to the sky


class OffscreenCamera:
    """A camera of a MuJoCo model that takes square pictures.

    Args:
        model: Seen from now on without what makes software rendering slow.
        name: The camera's name in the model.
        size: Height and width in pixels.
        crop: Left, top, right and bottom of what is taken, as fractions of the full upright picture, stretched to a
            square if it is none; None: all of it. What lies outside is not drawn, so that a crop costs no pixels.
        samples: K: each pixel is the mean of K x K, or what is as small as a pixel would be there or not by chance.
        look: See `canvas`.

    Raises:
        SimulatorError: There is no such camera, or rendering does not work on this machine.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        *,
        name: str,
        size: int,
        crop: Crop | None = None,
        samples: int = 1,
        look: Hashable = None,
    ) -> None:
        self.name = name
        self._model, self._size, self._samples = model, size, samples
        self._crop = crop
        self._camera = _fixed_camera(model, name)
        _simplify(model)
        self._canvas = canvas(model, look)
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._option = mujoco.MjvOption()
        self._perturbation = mujoco.MjvPerturb()

    def image(self, data: mujoco.MjData) -> UInt8[np.ndarray, "size size 3"]:
        """What the camera sees in RGB, upright however the camera is hung."""
        assert self._canvas is not None, "a camera took a picture after it was closed"
        upside_down = bool(data.cam_xmat[self._camera.fixedcamid, _UP_Z] < -0.1)
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            self._perturbation,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        if self._crop is not None:
            _narrow(self._scene, self._crop, upside_down=upside_down)
        _leave_out(self._scene, _out_of_sight(self._scene, self._model, data))
        pixels = _averaged(self._canvas.draw(self._scene, self._size * self._samples), self._samples)
        # OpenGL's rows run from the bottom up; an image upside down has both axes turned, or it would be mirrored.
        return (pixels[:, ::-1] if upside_down else pixels[::-1]).copy()

    def close(self) -> None:
        self._canvas = None


def _fixed_camera(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    names = [model.camera(index).name for index in range(model.ncam)]
    if name not in names:
        raise SimulatorError(unknown("camera", name, names))
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
    camera.fixedcamid = names.index(name)
    return camera


def _simplify(model: mujoco.MjModel) -> None:
    """Leave out what makes software rendering ten times as slow: shadows, mirrors, antialiasing, round edges."""
    model.vis.quality.shadowsize = 0
    model.vis.quality.offsamples = 0
    model.vis.quality.numslices, model.vis.quality.numstacks, model.vis.quality.numquads = 10, 6, 2
    model.mat_reflectance[:] = 0


def _narrow(scene: mujoco.MjvScene, crop: Crop, *, upside_down: bool) -> None:
    """Let the scene's cameras see a part of the picture alone."""
    left, top, right, bottom = crop
    if upside_down:
        left, top, right, bottom = 1 - right, 1 - bottom, 1 - left, 1 - top
    for camera in scene.camera:  # one for each eye, of which the mean is drawn
        half = camera.frustum_top
        camera.frustum_center, camera.frustum_width = half * (left + right - 1), half * (right - left)
        camera.frustum_bottom, camera.frustum_top = half * (1 - 2 * bottom), half * (1 - 2 * top)


def _out_of_sight(scene: mujoco.MjvScene, model: mujoco.MjModel, data: mujoco.MjData) -> Bool[np.ndarray, " N"]:
    """Which of the model's geoms lie outside what is drawn, as far as the boxes around them tell."""
    camera = scene.camera[0]
    forward, up = np.array(camera.forward), np.array(camera.up)
    right, near = np.cross(forward, up), camera.frustum_near
    halfwidth = camera.frustum_width or 0.5 * (camera.frustum_top - camera.frustum_bottom)
    inward = np.stack(
        [
            forward,
            right - (camera.frustum_center - halfwidth) / near * forward,
            (camera.frustum_center + halfwidth) / near * forward - right,
            up - camera.frustum_bottom / near * forward,
            camera.frustum_top / near * forward - up,
        ]
    )
    turns, boxes = data.geom_xmat.reshape(-1, 3, 3), model.geom_aabb[..., None]
    centres = data.geom_xpos + (turns @ boxes[:, :3])[..., 0] - np.array(camera.pos)
    reach = (np.abs(inward @ turns) @ boxes[:, 3:])[..., 0]  # of the corner that lies farthest inward
    return (centres @ inward.T + reach < -_MARGIN).any(axis=1)


def _leave_out(scene: mujoco.MjvScene, hidden: Bool[np.ndarray, " N"]) -> None:
    """Spare the meshes that are not seen, of which a robot's cost more than all else."""
    for geom in scene.geoms[: scene.ngeom]:
        if geom.type == mujoco.mjtGeom.mjGEOM_MESH and hidden[geom.objid]:
            geom.type = mujoco.mjtGeom.mjGEOM_NONE


def _averaged(pixels: UInt8[np.ndarray, "..."], samples: int) -> UInt8[np.ndarray, "..."]:
    """The mean of each block of pixels, rounded."""
    if samples == 1:
        return pixels
    total = np.full((len(pixels) // samples, len(pixels) // samples, 3), samples**2 // 2, np.uint16)
    for row in range(samples):
        for column in range(samples):
            total += pixels[row::samples, column::samples]
    return (total // samples**2).astype(np.uint8)
