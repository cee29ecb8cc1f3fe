"""Pictures of any shape become squares, of which each pixel is the mean of what it covers."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.errors import SimulatorError
from mtil.sim.snapshot import rendered, square

PICTURE = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
sizes = st.integers(1, 40)


@given(sizes, st.integers(0, 255))
def test_what_has_one_colour_keeps_it(size: int, colour: int) -> None:
    assert (square(np.full((12, 20, 3), colour, np.uint8), size, (0.1, 0.33, 0.77, 0.9)) == colour).all()


def test_blocks_are_averaged() -> None:
    picture = PICTURE[:, :12]
    blocks = picture.reshape(4, 3, 4, 3, 3).mean((1, 3))
    assert np.abs(square(picture, 4) - blocks).max() <= 0.5
    assert np.array_equal(square(picture, 12), picture)


def test_a_crop_is_what_would_be_cut_out() -> None:
    cut = PICTURE[3:9, 5:15]
    assert np.array_equal(square(PICTURE, 4, (0.25, 0.25, 0.75, 0.75)), square(cut, 4))


def test_a_picture_becomes_larger_by_repeating_pixels() -> None:
    assert np.array_equal(square(PICTURE[:4, :4], 8), PICTURE[:4, :4].repeat(2, 0).repeat(2, 1))


class Blind(gymnasium.Env):
    def render(self) -> np.ndarray:  # pyright: ignore[reportIncompatibleMethodOverride]
        return np.zeros((4, 4), np.float32)


def test_what_is_no_picture() -> None:
    with pytest.raises(SimulatorError, match=r"expected a rendered uint8 RGB image, found float32 of shape \(4, 4\)"):
        rendered(Blind())


def test_environments_that_take_turns_each_show_themselves() -> None:
    """Gymnasium's MuJoCo renderer returns, of two, the other's picture."""
    names = ("Reacher-v5", "Reacher-v5", "InvertedPendulum-v5")

    def begin(seed: int, name: str) -> gymnasium.Env:
        env = gymnasium.make(name, render_mode="rgb_array")
        env.reset(seed=seed)
        return env

    def go_on(env: gymnasium.Env) -> np.ndarray:
        env.step(np.ones(env.action_space.shape or (), np.float32))
        return rendered(env).copy()

    alone = []
    for seed, name in enumerate(names):
        env = begin(seed, name)
        alone.append([go_on(env) for _ in range(3)])
        env.close()
    together = [begin(seed, name) for seed, name in enumerate(names)]
    for step in range(3):
        for env, expected in zip(together, alone, strict=True):
            assert np.array_equal(go_on(env), expected[step])
    for env in together:
        env.close()
