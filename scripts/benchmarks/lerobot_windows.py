r"""The windows of a robomimic file as LeRobot's own loader reads them: the file is written as a LeRobot dataset first.

LeRobot 0.4.4 is pinned to other versions than ours, but reads and writes datasets beside them:

    python -m pip install --no-deps --target peers lerobot==0.4.4 robomimic==0.3.0 datasets==4.1.1 pyarrow==21.0.0 \
        dill==0.4.0 multiprocess==0.70.16 xxhash pandas python-dateutil pytz tzdata accelerate draccus jsonlines \
        mergedeep pyyaml-include typing-inspect mypy-extensions requests urllib3 charset_normalizer certifi idna \
        six termcolor tqdm
    HF_HUB_OFFLINE=1 PYTHONPATH=peers python scripts/benchmarks/loader.py --data data/mt10-pixels --lerobot ...
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset  # pyright: ignore[reportMissingImports]
from torch import Tensor

FPS = 10


def written(file: Path, folder: Path, states: Sequence[str], images: Sequence[str]) -> None:
    """Write the demonstrations of a file as a LeRobot dataset with PNGs, as LeRobot writes what is not filmed."""
    with h5py.File(file) as source:
        demos: Any = source["data"]
        names = sorted(demos, key=lambda name: int(name.removeprefix("demo_")))
        first = demos[names[0]]
        arrays = {key: first["obs"][key] for key in (*states, *images)} | {"action": first["actions"]}
        features = {
            key: {"dtype": "image" if key in images else "float32", "shape": array.shape[1:], "names": None}
            for key, array in arrays.items()
        }
        dataset = LeRobotDataset.create("mtil/peer", fps=FPS, features=features, root=folder, use_videos=False)
        for name in names:
            demo = demos[name]
            columns = {key: demo["obs"][key][:] for key in (*states, *images)} | {"action": demo["actions"][:]}
            for row in range(len(columns["action"])):
                frame = {key: value[row] for key, value in columns.items()}
                dataset.add_frame(frame | {"task": file.stem})
            dataset.save_episode()
        dataset.finalize()


def opened(folder: Path, keys: Sequence[str], *, history: int, chunk: int) -> LeRobotDataset:
    """The dataset, each item of which is a window of observations and actions."""
    seen = [(step - history + 1) / FPS for step in range(history)]
    deltas = dict.fromkeys(keys, seen) | {"action": [step / FPS for step in range(chunk)]}
    return LeRobotDataset("mtil/peer", root=folder, delta_timestamps=deltas)


def as_ours(found: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """A batch as our loader has it: LeRobot's images are floats, channels first, and its masks say what is padded."""

    def observation(values: Tensor) -> Tensor:
        return (values * 255).round().to(torch.uint8).movedim(-3, -1) if values.ndim == 5 else values

    return {
        "obs": {key: observation(found[key]) for key in keys},
        "actions": found["action"],
        "history_mask": ~found[f"{keys[0]}_is_pad"],
        "action_mask": ~found["action_is_pad"].unsqueeze(2),
    }
