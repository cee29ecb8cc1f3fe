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


def main() -> int:
    """Record the dataset, and keep what is in it where the command line says."""
    parser = argparse.ArgumentParser(description="Record a small dataset with minari.")
    parser.add_argument("expected", type=Path)
    expected = parser.parse_args().expected
    env = minari.DataCollector(gymnasium.make("Pendulum-v1", max_episode_steps=STEPS))
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
        observations=np.stack([each.observations for each in episodes]),
        actions=np.stack([each.actions for each in episodes]),
        rewards=np.stack([each.rewards for each in episodes]),
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
