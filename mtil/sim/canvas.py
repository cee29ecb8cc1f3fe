"""Where MuJoCo's scenes are drawn off screen: one OpenGL context a process, and in it what each model is drawn with."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import atexit
import weakref
from collections.abc import Hashable
from functools import cache
from importlib import import_module
from typing import Any

import mujoco
import numpy as np
from jaxtyping import UInt8

from mtil.errors import SimulatorError
from mtil.sim.meshes import coarsened
from mtil.sim.opengl import backend, prepare

_LEAST = 256  # pixels of a side that there is always room for: what most pictures need


class Canvas:
    """The meshes and textures of a model on the graphics card, large meshes coarser, and room for a square picture.

    Any number may live in one process: before it draws or frees, each makes the process's OpenGL context current, which
    another library may have replaced, and binds its own buffer (gymnasium's renderer does neither, and of two such
    renderers one returns the other's picture, or black).
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._gl = _opengl()
        self._gl.make_current()
        model.vis.global_.offwidth = model.vis.global_.offheight = _LEAST
        self._context = mujoco.MjrContext(coarsened(model), mujoco.mjtFontScale.mjFONTSCALE_100)
        self._release = weakref.finalize(self, _release, self._gl, self._context)
        atexit.register(self._release)  # weakref's own hook may run after EGL was shut down

    def draw(self, scene: mujoco.MjvScene, size: int) -> UInt8[np.ndarray, "size size 3"]:
        """The scene in RGB, its rows from the bottom up."""
        self._gl.make_current()
        if size > self._context.offWidth:
            mujoco.mjr_resizeOffscreen(size, size, self._context)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        viewport = mujoco.MjrRect(0, 0, size, size)
        mujoco.mjr_render(viewport, scene, self._context)
        pixels = np.empty((size, size, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, viewport, self._context)
        return pixels


_shared: weakref.WeakValueDictionary[Hashable, Canvas] = weakref.WeakValueDictionary()


def canvas(model: mujoco.MjModel, look: Hashable = None) -> Canvas:
    """A canvas for a model: the one that models of the same look have already, as long as any of them is drawn.

    Args:
        model: What is to be drawn.
        look: The same for models of the same meshes, textures and quality, e.g. their file's path; None: shared with
            no other.

    Raises:
        SimulatorError: Rendering does not work on this machine.
    """
    if look is None:
        return Canvas(model)
    found = _shared.get(look)
    if found is None:
        found = _shared[look] = Canvas(model)
    return found


def _opengl() -> Any:
    """The process's OpenGL context."""
    name = backend()
    try:
        return _context_of(name)
    except Exception as error:  # PyOpenGL and GLFW fail in ways of their own
        reason = " ".join(str(error).split())
        raise SimulatorError(
            f"rendering with MUJOCO_GL={name} does not work here ({reason}): install libegl1 and libgl1-mesa-dri "
            "and set MUJOCO_GL=egl, or install libosmesa6 and set MUJOCO_GL=osmesa"
        ) from None


@cache
def _context_of(name: str) -> Any:
    prepare()
    context = import_module(f"mujoco.{name}").GLContext(_LEAST, _LEAST)
    context.make_current()
    atexit.register(context.free)
    return context


def _release(gl: Any, context: mujoco.MjrContext) -> None:
    """Free a canvas's OpenGL objects, and no other's: they are known by numbers that every OpenGL context has."""
    gl.make_current()
    context.free()
