"""A small dataset of two tasks, written by lerobot 0.4.4's own recorder; what went into it is kept beside.

python scripts/conformance/lerobot_writes.py FOLDER EXPECTED.npz [--images image|video]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]

SIZE, FPS = 96, 30
EPISODES = (("Lift the cube", 20), ("Push the puck", 35), ("Lift the cube", 15))


def main() -> int:
    """Write the dataset to the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Record a small dataset with lerobot.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("expected", type=Path)
    parser.add_argument("--images", choices=["image", "video"], default="image")
    options = parser.parse_args()
    axes = ["height", "width", "channels"]
    features = {
        "observation.state": {"dtype": "float32", "shape": (5,), "names": None},
        "observation.images.top": {"dtype": options.images, "shape": (SIZE, SIZE, 3), "names": axes},
        "action": {"dtype": "float32", "shape": (3,), "names": ["x", "y", "z"]},
    }
    data = LeRobotDataset.create(
        "mtil/theirs", FPS, features, root=options.folder, use_videos=options.images == "video", robot_type="arm"
    )
    rng = np.random.default_rng(0)
    kept: dict[str, list[np.ndarray]] = {"state": [], "top": [], "actions": []}
    for number, (task, steps) in enumerate(EPISODES):
        for step in range(steps):
            state, action = rng.normal(size=5).astype(np.float32), rng.uniform(-1, 1, 3).astype(np.float32)
            image = _image(number, step)
            data.add_frame(
                {"observation.state": state, "observation.images.top": image, "action": action, "task": task}
            )
            for key, value in (("state", state), ("top", image), ("actions", action)):
                kept[key].append(value)
        data.save_episode()
    data.finalize()
    state, top, actions = (np.stack(kept[key]) for key in ("state", "top", "actions"))
    tasks, lengths = [task for task, _ in EPISODES], [steps for _, steps in EPISODES]
    np.savez(options.expected, tasks=tasks, lengths=lengths, state=state, top=top, actions=actions)
    return 0


def _image(episode: int, step: int) -> np.ndarray:
    """A disc that moves before colours that change slowly."""
    rows, columns = np.mgrid[0:SIZE, 0:SIZE]
    ground = np.stack([rows * 2, columns * 2, 128 + 0 * rows], axis=-1)
    disc = (rows - 20 - 10 * episode) ** 2 + (columns - 10 - 2 * step) ** 2 < 100
    return np.where(disc[..., None], [220, 40, 60], ground).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
