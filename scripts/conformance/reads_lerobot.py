"""Do we load what lerobot wrote, frame by frame? Pictures to the bit; of films the error of the worst frame is told.

python scripts/conformance/reads_lerobot.py FOLDER EXPECTED.npz
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from mtil.data.formats import open_tasks

LEAST = 25.0  # dB: lerobot films at a coarse quality (crf 30)


def main() -> int:
    """Compare the dataset with what went into it."""
    parser = argparse.ArgumentParser(description="Compare a dataset that lerobot wrote with what went into it.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("expected", type=Path)
    options = parser.parse_args()
    expected = np.load(options.expected)
    ends = expected["lengths"].cumsum()
    wrong, worst, frames = 0, np.inf, 0
    for task in open_tasks(options.folder):
        its = [i for i, told in enumerate(expected["tasks"].tolist()) if told == task.task.instructions[0]]
        wrong += len(its) != len(task.demos)
        for number, episode in zip(its, task.episodes(), strict=True):
            rows = slice(ends[number] - expected["lengths"][number], ends[number])
            wrong += not np.array_equal(episode.actions, expected["actions"][rows])
            wrong += not np.array_equal(episode.observations["state"], expected["state"][rows])
            errors = np.mean((episode.observations["top"].astype(float) - expected["top"][rows]) ** 2, axis=(1, 2, 3))
            worst = min(worst, *(10 * np.log10(255**2 / error) if error else np.inf for error in errors))
            frames += len(episode)
    images = f"worst image {worst:.1f} dB" if np.isfinite(worst) else "images equal"
    print(f"{options.folder.name}: {frames} frames: {f'{wrong} DIFFER' if wrong else 'all equal'}, {images}")
    return int(wrong > 0 or frames != ends[-1] or worst < LEAST)


if __name__ == "__main__":
    sys.exit(main())
