"""Do we load what minari wrote, step by step?

python scripts/conformance/reads_minari.py FOLDER EXPECTED.npz
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from mtil.data.formats import open_tasks


def main() -> int:
    """Compare the dataset with what minari's own reader finds in it."""
    parser = argparse.ArgumentParser(description="Compare a dataset that minari wrote with what it reads there.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("expected", type=Path)
    options = parser.parse_args()
    expected = np.load(options.expected)
    (task,) = open_tasks(options.folder)
    wrong = len(task.demos) != len(expected["actions"])
    for number, episode in enumerate(task.episodes()):
        for key in ("state", "picture"):
            wrong += not np.array_equal(episode.observations[key], expected[key][number, :-1])
        wrong += not np.array_equal(episode.actions, expected["actions"][number])
        wrong += not np.array_equal(episode.rewards, expected["rewards"][number].astype(np.float32))
    told = f"{wrong} DIFFER" if wrong else "all equal"
    print(f"{task.task.name} ({task.task.instructions[0]}): {sum(task.lengths)} steps: {told}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
