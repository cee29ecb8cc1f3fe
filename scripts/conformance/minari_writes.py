"""A small dataset recorded by minari 0.5.4; what its own reader finds in it is kept beside.

MINARI_DATASETS_PATH=FOLDER python scripts/conformance/minari_writes.py EXPECTED.npz
"""

import argparse
import sys
from pathlib import Path

import gymnasium
import minari  # pyright: ignore[reportMissingImports]
import numpy as np

EPISODES, STEPS = 4, 30


class Seen(gymnasium.ObservationWrapper):
    """Shows a picture beside the state, which minari encodes."""

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        picture = gymnasium.spaces.Box(0, 255, (40, 48, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict({"state": env.observation_space, "picture": picture})

    def observation(self, observation: np.ndarray) -> dict[str, np.ndarray]:
        """A picture that is a function of the state."""
        rows, columns = np.mgrid[0:40, 0:48]
        shades = [128 + 127 * np.sin(rows / 9 + columns / 7 + 3 * part) for part in observation]
        return {"state": observation, "picture": np.stack(shades, -1).astype(np.uint8)}


def main() -> int:
    """Record the dataset, and keep what is in it where the command line says."""
    parser = argparse.ArgumentParser(description="Record a small dataset with minari.")
    parser.add_argument("expected", type=Path)
    expected = parser.parse_args().expected
    env = minari.DataCollector(Seen(gymnasium.make("Pendulum-v1", max_episode_steps=STEPS)))
    for seed in range(EPISODES):
        env.reset(seed=seed)
        over = False
        while not over:
            *_, terminated, truncated, _ = env.step(env.action_space.sample())
            over = terminated or truncated
    data = env.create_dataset(
        "pendulum/random-v0", algorithm_name="random", description="swing it up", author="mtil", code_permalink="-"
    )
    episodes = list(data.iterate_episodes())
    np.savez(
        expected,
        state=np.stack([each.observations["state"] for each in episodes]),
        picture=np.stack([each.observations["picture"] for each in episodes]),
        actions=np.stack([each.actions for each in episodes]),
        rewards=np.stack([each.rewards for each in episodes]),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
