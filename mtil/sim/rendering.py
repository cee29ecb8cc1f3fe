"""Pictures of a MuJoCo scene, off screen."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import atexit
import os
import sys
import weakref
from importlib import import_module
from typing import Any

import mujoco
import numpy as np

from mtil.errors import SimulatorError, unknown

_MAX_GEOMS = 1000
_UP_Z = 7  # of a camera's flattened frame (columns right, up, back): how far its upward axis points to the sky


class OffscreenCamera:
    """A camera of a MuJoCo model that takes square pictures.

    Any number may live in one process: each makes its own OpenGL context current before it draws (gymnasium's renderer
    does not, and of two such renderers one returns the other's picture, or black).

    Attributes:
        name: The camera's name in the model.
    """

    def __init__(self, model: mujoco.MjModel, *, name: str, size: int) -> None:
        self.name = name
        self._model = model
        self._camera = _fixed_camera(model, name)
        _simplify(model, size)
        self._gl = _opengl_context(size)
        self._scene = mujoco.MjvScene(model, _MAX_GEOMS)
        self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        self._option = mujoco.MjvOption()
        self._perturbation = mujoco.MjvPerturb()
        self._viewport = mujoco.MjrRect(0, 0, size, size)
        self._release = weakref.finalize(self, _release, self._gl, self._context)
        atexit.register(self._release)  # weakref's own hook may run after EGL was shut down

    def image(self, data: mujoco.MjData) -> np.ndarray:
        """What the camera sees, uint8 RGB of shape (size, size, 3), upright however the camera is hung."""
        self._gl.make_current()
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        mujoco.mjv_updateScene(
            self._model,
            data,
            self._option,
            self._perturbation,
            self._camera,
            mujoco.mjtCatBit.mjCAT_ALL,
            self._scene,
        )
        mujoco.mjr_render(self._viewport, self._scene, self._context)
        pixels = np.empty((self._viewport.height, self._viewport.width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._viewport, self._context)
        # OpenGL's rows run from the bottom up; an image upside down has both axes turned, or it would be mirrored.
        upside_down = data.cam_xmat[self._camera.fixedcamid, _UP_Z] < -0.1
        return (pixels[:, ::-1] if upside_down else pixels[::-1]).copy()

    def close(self) -> None:
        self._release()


def _fixed_camera(model: mujoco.MjModel, name: str) -> mujoco.MjvCamera:
    names = [model.camera(index).name for index in range(model.ncam)]
    if name not in names:
        raise SimulatorError(unknown("camera", name, names))
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
    camera.fixedcamid = names.index(name)
    return camera


def _simplify(model: mujoco.MjModel, size: int) -> None:
    """Leave out what makes software rendering ten times as slow: shadows, mirrors, antialiasing, round edges."""
    model.vis.global_.offwidth = model.vis.global_.offheight = size
    model.vis.quality.shadowsize = 0
    model.vis.quality.offsamples = 0
    model.vis.quality.numslices, model.vis.quality.numstacks, model.vis.quality.numquads = 10, 6, 2
    model.mat_reflectance[:] = 0


def _opengl_context(size: int) -> Any:
    """An OpenGL context, made current: MUJOCO_GL's, or EGL where there is no display."""
    headless = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    backend = os.environ.get("MUJOCO_GL") or ("egl" if headless else "glfw")
    try:
        context = import_module(f"mujoco.{backend}").GLContext(size, size)
        context.make_current()
    except Exception as error:  # PyOpenGL and GLFW fail in ways of their own
        reason = " ".join(str(error).split())
        raise SimulatorError(
            f"rendering with MUJOCO_GL={backend} does not work here ({reason}): install libegl1 and libgl1-mesa-dri "
            "and set MUJOCO_GL=egl, or install libosmesa6 and set MUJOCO_GL=osmesa"
        ) from None
    return context


def _release(gl: Any, context: mujoco.MjrContext) -> None:
    """Free a context's OpenGL objects, and no other's: they are known by numbers that every context has."""
    gl.make_current()
    context.free()
    gl.free()
