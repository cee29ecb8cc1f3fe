"""Pictures are upright, and cameras that share a process do not disturb one another."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import gc
import os
import subprocess
import sys

import mujoco
import numpy as np
import pytest

from mtil.errors import SimulatorError
from mtil.sim.rendering import OffscreenCamera

# A red ball above a green one and to the left of a blue one, seen from -y; once with the camera overturned.
SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 -2 2"/>
    <geom type="sphere" size=".2" pos="-.4 0 .4" rgba="1 0 0 1"/>
    <geom type="sphere" size=".2" pos="-.4 0 -.4" rgba="0 1 0 1"/>
    <geom type="sphere" size=".2" pos=".4 0 .4" rgba="0 0 1 1"/>
    <camera name="upright" pos="0 -2 0" xyaxes="1 0 0 0 0 1"/>
    <camera name="overturned" pos="0 -2 0" xyaxes="-1 0 0 0 0 -1"/>
  </worldbody>
</mujoco>
"""


def camera(name: str, size: int = 48) -> tuple[OffscreenCamera, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return OffscreenCamera(model, name=name, size=size), data


def centre(image: np.ndarray, channel: int) -> np.ndarray:
    """Row and column of the ball that shines in this channel alone."""
    others = image.astype(int).sum(axis=-1) - image[..., channel]
    return np.argwhere((image[..., channel] > 60) & (others < 40)).mean(axis=0)


@pytest.mark.parametrize("name", ["upright", "overturned"])
def test_up_is_up_and_left_is_left(name: str) -> None:
    lens, data = camera(name)
    image = lens.image(data)
    red, green, blue = (centre(image, channel) for channel in range(3))
    assert red[0] < green[0] - 5
    assert red[1] < blue[1] - 5
    lens.close()


def test_cameras_in_one_process_do_not_disturb_one_another() -> None:
    alone = {}
    for name, size in (("upright", 48), ("overturned", 96)):
        lens, data = camera(name, size)
        alone[name] = lens.image(data)
        lens.close()
    (a, data_a), (b, data_b) = camera("upright", 48), camera("overturned", 96)
    for _ in range(3):
        assert np.array_equal(a.image(data_a), alone["upright"])
        assert np.array_equal(b.image(data_b), alone["overturned"])
    a.close()
    assert np.array_equal(b.image(data_b), alone["overturned"])
    b.close()


def test_a_camera_that_is_dropped_takes_nothing_of_another_with_it() -> None:
    kept, data = camera("upright")
    before = kept.image(data)
    for _ in range(3):
        dropped, other = camera("overturned", 96)
        dropped.image(other)
        del dropped
        gc.collect()
    assert np.array_equal(kept.image(data), before)
    kept.close()


def test_pictures_share_no_memory() -> None:
    lens, data = camera("upright")
    assert not np.shares_memory(lens.image(data), lens.image(data))
    lens.close()


def test_rendering_that_does_not_work_is_answered_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(SimulatorError, match=r"MUJOCO_GL=vulkan does not work here .*install libegl1"):
        camera("upright")


def test_an_interpreter_ends_quietly_with_a_camera_open() -> None:
    code = (
        "from mtil.sim.base import load; env = load('metaworld-mt10').make('reach-v3', camera='corner', image_size=32);"
        "env.reset(seed=0); env.render()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr


def test_a_library_that_is_not_there_is_one_line() -> None:
    program = "from mtil.errors import MtilError\nfrom mtil.sim.base import load\ntry:\n    load('metaworld-mt10')\n"
    program += "except MtilError as error:\n    print(error)\n"
    environment = {**os.environ, "MUJOCO_GL": "nonsense"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert found.stdout.startswith("MuJoCo cannot be imported with MUJOCO_GL=nonsense (")
    assert found.stdout.count("\n") == 1
