"""Does robomimic 0.3.0 train on our files? Its own BC, from states and images, by its own loader: the loss must fall.

python scripts/conformance/robomimic_trains.py FOLDER
"""

import argparse
import io
import sys
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import robomimic.utils.file_utils as files  # pyright: ignore[reportMissingImports]
import robomimic.utils.obs_utils as observations  # pyright: ignore[reportMissingImports]
import torch
from robomimic.algo import algo_factory  # pyright: ignore[reportMissingImports]
from robomimic.config import config_factory  # pyright: ignore[reportMissingImports]
from robomimic.utils.train_utils import load_data_for_training, run_epoch  # pyright: ignore[reportMissingImports]
from torch.utils.data import DataLoader

EPOCHS, STEPS, BATCH = 3, 10, 16


def main() -> int:
    """Train on each file of the folder that the command line names."""
    parser = argparse.ArgumentParser(description="Train robomimic's BC on each file of a folder.")
    parser.add_argument("folder", type=Path)
    paths = sorted(parser.parse_args().folder.glob("*.hdf5"))
    fell = [_trains(path) for path in paths]
    return int(not fell or not all(fell))


def _trains(path: Path) -> bool:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 (robomimic draws from it)
    config = config_factory("bc")
    with config.unlocked():
        config.train.data = str(path)
        config.train.batch_size = BATCH
        config.train.hdf5_filter_key = config.train.hdf5_validation_filter_key = None
        config.observation.modalities.obs.low_dim = ["proprio"]
        config.observation.modalities.obs.rgb = ["corner_image"]
    with redirect_stdout(io.StringIO()):
        observations.initialize_obs_utils_with_config(config)
        shapes = files.get_shape_metadata_from_dataset(str(path), all_obs_keys=config.all_obs_keys)
        model = algo_factory("bc", config, shapes["all_shapes"], shapes["ac_dim"], torch.device("cpu"))
        data, _ = load_data_for_training(config, obs_keys=shapes["all_obs_keys"])
        loader = DataLoader(data, batch_size=BATCH, shuffle=True, drop_last=True)
        losses = [run_epoch(model, loader, epoch, num_steps=STEPS)["Loss"] for epoch in range(1, EPOCHS + 1)]
    print(f"{path.name}: {EPOCHS} epochs of {STEPS} steps: loss {', '.join(f'{loss:.4f}' for loss in losses)}")
    return losses[-1] < 0.7 * losses[0]


if __name__ == "__main__":
    sys.exit(main())
