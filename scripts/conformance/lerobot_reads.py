"""Does lerobot 0.4.4 load our LeRobot dataset, frame by frame as it is in the HDF5 files that it was made of?

States, actions, rewards, ends, times and tasks must be equal, pictures too; of films the error is told (as the peak
signal to noise ratio of the worst frame), and must be above 25 dB: in small pictures of strong colours, halving the
resolution of colours, as films do, costs most of it. Windows of actions over time are compared as well.

    python scripts/conformance/lerobot_reads.py HDF5_FOLDER LEROBOT_FOLDER
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]

CHUNK = 4
LEAST = 25.0  # dB


def main() -> int:
    """Compare the folders that the command line names."""
    parser = argparse.ArgumentParser(description="Compare a LeRobot dataset with the HDF5 files it was made of.")
    parser.add_argument("hdf5", type=Path)
    parser.add_argument("lerobot", type=Path)
    options = parser.parse_args()
    plain = LeRobotDataset("mtil/check", root=options.lerobot, video_backend="pyav")
    ahead = {"action": [step / plain.fps for step in range(CHUNK)]}
    data = LeRobotDataset("mtil/check", root=options.lerobot, video_backend="pyav", delta_timestamps=ahead)
    index, wrong, worst = 0, 0, np.inf
    for sentence, episode in _episodes(options.hdf5):
        steps = len(episode["actions"])
        for step in range(steps):
            expected = {key: values[step] for key, values in episode.items()}
            rows = np.minimum(np.arange(step, step + CHUNK), steps - 1)
            expected["actions"] = episode["actions"][rows]
            equal, quality = _compare(data[index], expected, sentence, step / data.fps)
            wrong, worst, index = wrong + (not equal), min(worst, quality), index + 1
    images = f", worst image {worst:.1f} dB" if np.isfinite(worst) else ", images equal"
    print(
        f"{options.lerobot.name}: {index} frames of {len(data)}: {f'{wrong} DIFFER' if wrong else 'all equal'}{images}"
    )
    means = data.meta.stats["action"]["mean"]
    print(f"statistics: {len(data.meta.stats)} features; mean action {np.round(means, 4)}")
    return int(wrong > 0 or index != len(data) or worst < LEAST)


def _episodes(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Sentence and arrays of every demonstration, in our order."""
    found = []
    for path in sorted(folder.glob("*.hdf5")):
        with h5py.File(path) as file:
            data: Any = file["data"]
            sentence = json.loads(str(data.attrs["problem_info"]))["language_instruction"]
            for name in sorted(data, key=lambda name: int(name[5:])):
                demo = data[name]
                arrays = {key: demo[key][()] for key in ("actions", "rewards", "dones")}
                found.append((sentence, arrays | {f"obs/{key}": demo["obs"][key][()] for key in demo["obs"]}))
    return found


def _compare(frame: dict[str, Any], expected: dict[str, Any], sentence: str, time: float) -> tuple[bool, float]:
    """Whether a frame is what it should be, and how close its images are (infinity: equal)."""
    equal = frame["task"] == sentence and abs(float(frame["timestamp"]) - time) < 1e-5
    equal &= np.array_equal(frame["action"].numpy(), expected["actions"])
    equal &= float(frame["next.reward"]) == expected["rewards"]
    equal &= bool(frame["next.done"]) == bool(expected["dones"])
    quality = np.inf
    for key, value in expected.items():
        if not key.startswith("obs/"):
            continue
        if value.ndim == 3:
            image = np.rint(frame[f"observation.images.{key[4:]}"].numpy().transpose(1, 2, 0) * 255)
            error = np.mean((image - value.astype(float)) ** 2)
            quality = min(quality, 10 * np.log10(255**2 / error) if error else np.inf)
        else:
            equal &= np.array_equal(frame[f"observation.{key[4:]}"].numpy(), value)
    return bool(equal), quality


if __name__ == "__main__":
    sys.exit(main())
