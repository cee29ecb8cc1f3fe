"""Which OpenGL things are drawn with, and what has to be in place before it draws."""

import os
import sys
from importlib import import_module
from importlib.util import find_spec


def backend() -> str:
    """What MuJoCo calls the OpenGL to draw with: MUJOCO_GL, or EGL where there is no display."""
    headless = sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return os.environ.get("MUJOCO_GL") or ("egl" if headless else "glfw")


def prepare() -> None:
    """Make the process ready for drawing."""
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's, which would take all cores from other workers
    if "torch" in sys.modules and find_spec("triton"):
        import_module("triton")  # torch does it when it likes, and dies where Mesa's LLVM was there before triton's
