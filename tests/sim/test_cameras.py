# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import mujoco
import pytest

from mtil.errors import SimulatorError
from mtil.sim.cameras import Cameras
from mtil.types import CameraView

SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 0 3"/>
    <geom type="box" size=".1 .1 .1" rgba="1 0 0 1"/>
    <camera name="near" pos="0 -1 0" xyaxes="1 0 0 0 0 1"/>
    <camera name="far" pos="0 -3 0" xyaxes="1 0 0 0 0 1"/>
  </worldbody>
</mujoco>
"""
VIEWS = (CameraView("near", 64), CameraView("far", 48, (0.25, 0.25, 0.75, 0.75)))


@pytest.fixture
def data() -> mujoco.MjData:
    data = mujoco.MjData(mujoco.MjModel.from_xml_string(SCENE))
    mujoco.mj_forward(data.model, data)
    return data


def test_views_and_film_are_what_was_asked_for(data: mujoco.MjData) -> None:
    cameras = Cameras(data.model, film="near", film_size=32, views=VIEWS, look=SCENE)
    seen = cameras.seen(data)
    assert list(seen) == list(cameras.spaces) == ["near_image", "far_image"]
    assert all(cameras.spaces[key].contains(image) for key, image in seen.items())
    assert cameras.filmed(data).shape == (32, 32, 3)
    red = [float(((image[..., 0] > 2.0 * image[..., 1]) & (image[..., 0] > 30)).mean()) for image in seen.values()]
    assert red[0] > 1.5 * red[1] > 0
    cameras.close()


def test_without_a_film_there_is_nothing_to_render(data: mujoco.MjData) -> None:
    cameras = Cameras(data.model, film=None, film_size=32, views=(), look=SCENE)
    assert cameras.seen(data) == {}
    with pytest.raises(SimulatorError, match="nothing to render: the environment was made without a camera"):
        cameras.filmed(data)
    cameras.close()


def test_a_camera_that_is_not_there(data: mujoco.MjData) -> None:
    with pytest.raises(SimulatorError, match="unknown camera 'neer'"):
        Cameras(data.model, film=None, film_size=1, views=[CameraView("neer", 8)], look=SCENE)
