import math

import pytest

from mtil.training.schedule import warmup_cosine


def test_rises_linearly_then_falls_as_half_a_cosine() -> None:
    factor = warmup_cosine(4, 12)
    assert [factor(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factor(8) == pytest.approx(0.5)
    assert factor(6) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_ends_at_zero_and_stays_there() -> None:
    factor = warmup_cosine(4, 12)
    assert [factor(step) for step in (12, 13, 1000)] == pytest.approx([0, 0, 0])


def test_without_warmup_it_begins_at_the_full_rate() -> None:
    assert warmup_cosine(0, 10)(0) == 1


def test_a_run_shorter_than_the_warmup() -> None:
    factor = warmup_cosine(200, 10)
    assert [factor(step) for step in (0, 9)] == pytest.approx([1 / 201, 10 / 201])
