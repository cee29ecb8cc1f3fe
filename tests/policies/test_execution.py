"""Chunks become actions: the laws of both ways."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtil.config import load
from mtil.errors import ConfigError
from mtil.policies.config import EnsembleConfig, FirstActionsConfig, PolicyConfig
from mtil.policies.execution import build_execution

CHUNK, ACTIONS = 4, 2


def chunks(steps: int, seed: int = 0) -> np.ndarray:
    """What a policy might predict at each step."""
    return np.random.default_rng(seed).normal(size=(steps, CHUNK, ACTIONS)).astype(np.float32)


def run(config: FirstActionsConfig | EnsembleConfig, predicted: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """The actions of an episode, and the steps at which the policy decided."""
    execution, actions, decided = build_execution(config), [], []
    for step, chunk in enumerate(predicted):
        if execution.wants_chunk:
            execution.add(chunk)
            decided.append(step)
        actions.append(execution.next())
    return np.stack(actions), decided


@given(st.integers(1, CHUNK), st.integers(1, 12))
def test_the_first_actions_are_taken_in_order(taken: int, steps: int) -> None:
    predicted = chunks(steps)
    actions, decided = run(FirstActionsConfig(steps=taken), predicted)
    assert decided == list(range(0, steps, taken))
    expected = [predicted[step - step % taken, step % taken] for step in range(steps)]
    np.testing.assert_array_equal(actions, expected)


@given(st.floats(0, 5), st.integers(1, 12))
def test_the_ensemble_is_the_weighted_mean_of_all_that_was_said_of_a_step(decay: float, steps: int) -> None:
    predicted = chunks(steps)
    actions, decided = run(EnsembleConfig(decay=decay), predicted)
    assert decided == list(range(steps))
    for step, action in enumerate(actions):
        oldest = max(0, step - CHUNK + 1)
        said = np.stack([predicted[begun, step - begun] for begun in range(oldest, step + 1)])
        weights = np.exp(-decay * np.arange(len(said)))
        np.testing.assert_allclose(action, np.average(said, axis=0, weights=weights), atol=1e-5)
    assert actions.dtype == predicted.dtype


def test_chunks_that_agree_are_carried_out_as_they_are() -> None:
    plan = chunks(1)[0][:1].repeat(20, axis=0) * np.arange(20, dtype=np.float32)[:, None]
    predicted = np.stack([plan[step : step + CHUNK] for step in range(12)])
    for config in (FirstActionsConfig(steps=3), EnsembleConfig(decay=0.3)):
        np.testing.assert_allclose(run(config, predicted)[0], plan[:12], rtol=1e-6)


def test_more_actions_than_the_chunk_has() -> None:
    with pytest.raises(ConfigError, match=r"execution\.steps: expected at most 4, the chunk, found 5"):
        load(PolicyConfig, "{chunk: 4, execution: {steps: 5}}")
