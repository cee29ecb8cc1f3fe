"""Whether an episode is a function of its seed and its actions, as far as a short one tells."""

from typing import Any

import gymnasium
import numpy as np

_STEPS = 5
_SEED = 2**64 - 1  # as long as any


def difference(env: gymnasium.Env) -> str | None:
    """What differs, the first time that it does, between two episodes with the same seed and actions; None: nothing.

    The first is the environment's first, the second its second: what is carried from one into the next shows, too.

    Args:
        env: With observations by key, and actions in a box.
    """
    for one, other in zip(_episode(env), _episode(env), strict=False):
        for key, value in one.items():
            if not np.array_equal(value, other[key], equal_nan=np.asarray(value).dtype.kind == "f"):
                return f"{key!r}"
    return None


def _episode(env: gymnasium.Env) -> list[dict[str, Any]]:
    """What is seen at each step, and the reward, until it is over."""
    rng = np.random.default_rng(_SEED)
    observation, _ = env.reset(seed=_SEED)
    seen: list[dict[str, Any]] = [observation]
    for _ in range(_STEPS):
        action = rng.uniform(-1, 1, env.action_space.shape or ())
        observation, reward, terminated, truncated, _ = env.step(action.astype(np.float32))
        seen.append({**observation, "reward": reward, "end": terminated or truncated})
        if terminated or truncated:
            break
    return seen
