"""Pictures are upright, crops and samples are what they say, and cameras in one process do not disturb each other."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import gc
import itertools
import os
import subprocess
import sys
from typing import Any

import mujoco
import numpy as np
import pytest

from mtil.errors import SimulatorError
from mtil.sim import rendering
from mtil.sim.canvas import canvas
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


def scene(text: str = SCENE) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


def camera(name: str, size: int = 48, **options: Any) -> tuple[OffscreenCamera, mujoco.MjData]:
    model, data = scene()
    return OffscreenCamera(model, name=name, size=size, **options), data


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


VIEWS = tuple(
    {"name": name, "size": size, "crop": crop, "samples": samples}
    for name in ("upright", "overturned")
    for size, crop, samples in ((48, None, 1), (24, (0.0, 0.25, 0.5, 0.75), 2), (300, (0.5, 0.5, 1.0, 1.0), 1))
)


@pytest.mark.parametrize("shared", [False, True])
def test_any_mixture_of_views_and_models_shows_what_each_shows_alone(shared: bool) -> None:
    """To the bit; also where one's picture needs more room than there was when another's was taken."""
    scenes = {"balls": SCENE, "other balls": SCENE.replace("1 0 0 1", "1 1 0 1").replace("0 1 0 1", "0 1 1 1")}
    alone = {}
    for (title, text), view in itertools.product(scenes.items(), VIEWS):
        model, data = scene(text)
        lens = OffscreenCamera(model, **view)
        alone[title, VIEWS.index(view)] = lens.image(data)
        lens.close()
    together = []
    for (title, text), view in itertools.product(scenes.items(), VIEWS):
        model, data = scene(text)
        lens = OffscreenCamera(model, **view, look=title if shared else None)
        together.append((lens, data, alone[title, VIEWS.index(view)]))
    rng = np.random.default_rng(0)
    for index in (*rng.permutation(len(together)), *rng.permutation(len(together))):
        lens, data, expected = together[index]
        assert np.array_equal(lens.image(data), expected)
    assert not np.array_equal(alone["balls", 0], alone["other balls", 0])


@pytest.mark.parametrize("name", ["upright", "overturned"])
@pytest.mark.parametrize("crop", [(0.0, 0.0, 0.5, 0.5), (0.25, 0.5, 0.75, 1.0), (0.5, 0.25, 1.0, 0.75)])
def test_a_crop_is_that_part_of_the_full_picture(name: str, crop: tuple[float, float, float, float]) -> None:
    left, top, right, bottom = (round(96 * side) for side in crop)
    (lens, data), (full, _) = camera(name, 48, crop=crop), camera(name, 96)
    part = full.image(data)[top:bottom, left:right]
    assert np.abs(lens.image(data).astype(int) - part).mean() < 0.5
    assert part.any()


def test_a_crop_that_is_no_square_is_stretched_to_one() -> None:
    (lens, data), (full, _) = camera("upright", 48, crop=(0.0, 0.0, 0.5, 1.0)), camera("upright", 96)
    narrow = full.image(data)[::2, :48].astype(int)
    assert (np.abs(lens.image(data) - narrow) > 40).any(-1).mean() < 0.05


@pytest.mark.parametrize("samples", [2, 3])
def test_a_pixel_is_the_mean_of_its_samples(samples: int) -> None:
    (lens, data), (fine, _) = camera("upright", 32, samples=samples), camera("upright", 32 * samples)
    blocks = fine.image(data).reshape(32, samples, 32, samples, 3)
    assert np.abs(lens.image(data) - blocks.mean((1, 3))).max() <= 0.5


# Cameras that see all, a part and nothing of a mesh, from afar, from within it and from behind.
MESH = """
<mujoco>
  <asset><mesh name="gem" vertex="1 0 0 -1 0 0 0 1 0 0 -1 0 0 0 1 0 0 -1" scale=".3 .2 .4"/></asset>
  <worldbody>
    <light pos="0 -2 2"/>
    <geom type="plane" size="0 0 1" pos="0 0 -1"/>
    <geom type="mesh" mesh="gem" rgba="1 0 0 1" pos=".1 0 .1"/>
    {cameras}
  </worldbody>
</mujoco>
"""
PLACES = tuple(itertools.product((-2.1, -0.9, 0.1, 0.9), (-2.0, -0.1, 1.0), (-0.7, 0.0)))
CROPS = (None, (0.0, 0.25, 0.5, 0.75), (0.5, 0.0, 1.0, 0.5))


def test_what_is_left_out_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    cameras = (f'<camera name="{i}" pos="{x} {y} {z}" xyaxes="1 0 0 0 0 1"/>' for i, (x, y, z) in enumerate(PLACES))
    model, data = scene(MESH.format(cameras="".join(cameras)))
    kept = canvas(model, MESH)
    spared = 0
    for index, crop in itertools.product(range(len(PLACES)), CROPS):
        lens = OffscreenCamera(model, name=str(index), size=32, crop=crop, look=MESH)
        image = lens.image(data)
        spared += any(geom.type == mujoco.mjtGeom.mjGEOM_NONE for geom in lens._scene.geoms[: lens._scene.ngeom])
        with monkeypatch.context() as patch:
            patch.setattr(rendering, "_leave_out", lambda *_: None)
            assert np.array_equal(lens.image(data), image), (PLACES[index], crop)
        assert lens._canvas is kept
    assert len(PLACES) < spared < 3 * len(PLACES) - 9


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
