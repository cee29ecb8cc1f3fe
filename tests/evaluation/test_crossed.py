"""Laws of the variance; the intervals' coverage is in test_paired.py."""

import numpy as np
import pytest
from scipy.stats import norm, t

from mtil.evaluation.crossed import VarianceComponents, components, components_of_tasks, half_width, p_value


def normal_values(rng: np.random.Generator, *, seed: float, placement: float, noise: float) -> np.ndarray:
    """Values of 3 seeds, 4 tasks and 30 placements with these deviations."""
    by_seed, by_placement = rng.normal(size=(3, 1, 1)), rng.normal(size=(1, 4, 30))
    return seed * by_seed + placement * by_placement + noise * rng.normal(size=(3, 4, 30))


def test_components_estimate_what_made_the_values() -> None:
    rng = np.random.default_rng(0)
    found = [
        components([normal_values(rng, seed=0.5, placement=2, noise=1)], unseen=0.0, least=0.0) for _ in range(2000)
    ]
    noise = 1 / (3 * 4 * 30)
    assert np.mean([each.noise for each in found]) == pytest.approx(noise, rel=0.02)
    assert np.mean([each.units for each in found]) == pytest.approx(4 / (4 * 30) + noise, rel=0.02)
    assert np.mean([each.seeds for each in found]) == pytest.approx(0.25 / 3 + noise, rel=0.05)


def test_a_hard_placement_of_both_sides_is_in_no_difference() -> None:
    rng = np.random.default_rng(0)
    hard = 5 * rng.normal(size=(1, 4, 30))
    sides = [rng.normal(size=(seeds, 4, 30)) for seeds in (3, 2)]
    alone = components(sides, unseen=0.0, least=0.0)
    together = components([side + hard for side in sides], unseen=0.0, least=0.0)
    assert together.units == pytest.approx(alone.units)
    assert together.noise == pytest.approx(alone.noise)


def test_the_order_of_anything_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 4, 30)), rng.random((5, 4, 30))
    shuffled = [side[rng.permutation(len(side))][:, [2, 0, 3, 1], ::-1] for side in (a, b)]
    for of in (lambda sides: components(sides, unseen=0.0, least=0.0), components_of_tasks):
        width = half_width(of([a, b]).draws())
        assert half_width(of(shuffled).draws()) == pytest.approx(width)
        assert half_width(of([b, a]).draws()) == pytest.approx(width)


def alone(*, units: float = 0.0, units_freedom: float = np.inf, seeds: float = 0.0, seeds_freedom: float = np.inf):
    return VarianceComponents(units, units_freedom, seeds, seeds_freedom, noise=0.0, unseen=0.0, least=0.0).draws()


@pytest.mark.parametrize("freedom", [2.0, 4.0, 9.0, 49.0])
def test_one_component_alone_is_students_t(freedom: float) -> None:
    expected = 3 * t.ppf(0.975, freedom)
    assert half_width(alone(seeds=9.0, seeds_freedom=freedom)) == pytest.approx(expected, rel=0.01)
    assert half_width(alone(units=9.0, units_freedom=freedom)) == pytest.approx(expected, rel=0.01)
    assert p_value(6.0, alone(seeds=9.0, seeds_freedom=freedom)) == pytest.approx(2 * t.sf(2, freedom), rel=0.02)


def test_a_variance_that_is_known_is_normal() -> None:
    assert half_width(alone(units=9.0)) == pytest.approx(3 * norm.ppf(0.975))
    assert half_width(alone(units=9.0), confidence=0.8) == pytest.approx(3 * norm.ppf(0.9))
    assert p_value(0.0, alone(units=9.0)) == 1
    assert p_value(-6.0, alone(units=9.0)) == pytest.approx(2 * norm.sf(2))


def test_an_interval_ends_where_p_is_its_level() -> None:
    variances = alone(units=1.0, units_freedom=9.0, seeds=2.0, seeds_freedom=2.0)
    assert p_value(half_width(variances), variances) == pytest.approx(0.05)


def test_seeds_vary_no_less_than_their_episodes() -> None:
    found = VarianceComponents(
        units=1.0, units_freedom=np.inf, seeds=0.0, seeds_freedom=2.0, noise=0.4, unseen=0.1, least=0.2
    )
    np.testing.assert_allclose(found.draws(), 1.1)
    np.testing.assert_allclose(VarianceComponents(0.0, np.inf, 0.0, np.inf, 0.0, 0.0, least=0.2).draws(), 0.2)
