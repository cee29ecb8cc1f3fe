"""A canvas is shared for as long as it is used, whatever else in the process draws."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo's compiled modules carry no stubs.)

import mujoco
import numpy as np

from mtil.sim.canvas import Canvas, canvas

SCENE = """
<mujoco>
  <worldbody>
    <light pos="0 0 2"/>
    <geom type="sphere" size=".2" rgba="{colour} 1"/>
  </worldbody>
</mujoco>
"""


def ball(colour: str = "1 0 0") -> tuple[mujoco.MjModel, mujoco.MjvScene]:
    """A model, and what is to be drawn of it."""
    model = mujoco.MjModel.from_xml_string(SCENE.format(colour=colour))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    scene, camera = mujoco.MjvScene(model, 10), mujoco.MjvCamera()
    option, perturbation = mujoco.MjvOption(), mujoco.MjvPerturb()
    mujoco.mjv_updateScene(model, data, option, perturbation, camera, mujoco.mjtCatBit.mjCAT_ALL, scene)
    return model, scene


def test_models_of_one_look_share_a_canvas_and_others_do_not() -> None:
    model, _ = ball()
    first = canvas(model, "ball")
    assert canvas(model, "ball") is first
    assert canvas(model, "another") is not first
    assert canvas(model) is not canvas(model)


def test_a_canvas_that_nobody_uses_any_more_is_gone() -> None:
    model, scene = ball()
    first = canvas(model, "ball")
    image = first.draw(scene, 16)
    released = first._release
    assert released.alive
    del first
    assert not released.alive
    assert np.array_equal(canvas(model, "ball").draw(scene, 16), image)


def test_a_canvas_grows_with_its_pictures() -> None:
    model, scene = ball()
    board = canvas(model)
    small, large = board.draw(scene, 16), board.draw(scene, 400)
    assert large[180:220, 180:220].any(-1).all()
    assert not large[[0, -1]].any()
    assert np.array_equal(board.draw(scene, 16), small)


def test_freeing_one_leaves_the_others_whole() -> None:
    model, scene = ball()
    kept = Canvas(model)
    before = kept.draw(scene, 32)
    for colour in ("0 1 0", "0 0 1"):
        other, seen = ball(colour)
        assert not np.array_equal(Canvas(other).draw(seen, 32), before)
    assert np.array_equal(kept.draw(scene, 32), before)


def test_another_librarys_context_is_left_behind() -> None:
    """Gymnasium's renderer, say, makes its own context current, and never ours."""
    model, scene = ball()
    ours = Canvas(model)
    before = ours.draw(scene, 32)
    theirs = type(ours._gl)(64, 64)
    theirs.make_current()
    context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
    assert np.array_equal(ours.draw(scene, 32), before)
    theirs.make_current()
    context.free()
    theirs.free()
    assert np.array_equal(ours.draw(scene, 32), before)
