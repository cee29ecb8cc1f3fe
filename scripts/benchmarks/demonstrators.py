"""Videos of another demonstrator: from another camera, of another size, hue and frame rate.

No human is filmed here: other demonstrations of the experts, seen otherwise, stand in for the videos of people that
BC-Z learns from. A policy trained without any of them, and one trained with some (`data.clips.videos`), are shown
demonstrations of their own data, and videos of that demonstrator that neither has seen.

    python scripts/benchmarks/demonstrators.py --preset mt10-multimodal trainer.threads=1
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torchvision.transforms.v2 import functional as transforms

from mtil.config import read
from mtil.data.formats import open_tasks
from mtil.evaluation.results import read_json
from mtil.sim.video import VideoWriter
from mtil.training.config import ExperimentConfig, presets

CAMERA, SIZE = "corner3", 128
HUE, EVERY, FPS = 0.3, 2, 15
"""Share of the circle of hues; one frame of so many is kept; their rate."""
SHOWN, HELD_OUT = 15, 5
"""Videos of each task to train with, and to evaluate with."""


def main() -> None:
    options = _options()
    config = read(ExperimentConfig, presets()[options.preset], options.overrides)
    assert config.suite is not None, "a preset names its suite"
    videos = options.out / "videos"
    if not videos.exists():
        _film(config.suite, options.out / "demonstrations", videos, seed=options.seed + 1000)
    table = Table("trained", "shown", "success %", "95% interval", box=box.MARKDOWN)
    for name, overrides in {"without them": [], "with them": [f"data.clips.videos={videos / 'train'}"]}.items():
        run = options.out / name.split()[0]
        _mtil("train", options.preset, *options.overrides, *overrides, "--out", str(run), "--resume")
        for shown, folder in {"its own demonstrations": None, "the other's videos": videos / "held-out"}.items():
            table.add_row(name, shown, *_success(run, folder, options))
    Console(width=120).print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="KEY.PATH=VALUE", help="of all trainings")
    parser.add_argument("--preset", default="mt10-multimodal")
    parser.add_argument("--seed", type=int, default=0, help="of the videos")
    parser.add_argument("--episodes", type=int, default=50, help="a task")
    parser.add_argument("--evaluation-seed", type=int, default=0)
    parser.add_argument("--clips", type=int, default=3, help="that make a z")
    parser.add_argument("--out", type=Path, default=Path("runs/demonstrators"))
    return parser.parse_args()


def _film(suite: str, demonstrations: Path, videos: Path, *, seed: int) -> None:
    """Write videos of demonstrations that no policy imitates, to a folder that appears when it is whole."""
    _mtil("collect", suite, "--out", str(demonstrations), "--episodes-per-task", str(SHOWN + HELD_OUT), "--seed",
          str(seed), "--noise", "0.1", "--camera", CAMERA, "--image-size", str(SIZE))  # fmt: skip
    partial = videos.with_name("videos.partial")
    for file in track(open_tasks(demonstrations), description="videos"):
        for number, episode in enumerate(file.episodes(keys=[f"{CAMERA}_image"])):
            folder = partial / ("train" if number < SHOWN else "held-out") / file.task.name
            folder.mkdir(parents=True, exist_ok=True)
            film = VideoWriter(folder / f"{number}.mp4", fps=FPS)
            frames = torch.from_numpy(np.asarray(episode.observations[f"{CAMERA}_image"])[::EVERY])
            for frame in transforms.adjust_hue(frames.permute(0, 3, 1, 2), HUE).permute(0, 2, 3, 1).numpy():
                film.append(frame)
            film.save()
    partial.rename(videos)


def _success(run: Path, videos: Path | None, options: argparse.Namespace) -> tuple[str, str]:
    shown = [] if videos is None else ["--videos", str(videos)]
    placements = ["--episodes", str(options.episodes), "--seed", str(options.evaluation_seed)]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "result.json"
        how = ["--condition", "video", "--clips", str(options.clips), *shown, *placements]
        _mtil("evaluate", str(run), *how, "--json", str(file))
        mean = read_json(file).mean
    return f"{100 * mean.rate:.1f}", f"{100 * mean.low:.1f} - {100 * mean.high:.1f}"


def _mtil(*arguments: str) -> None:
    print("$", " ".join(["mtil", *arguments]), flush=True)
    subprocess.run([str(Path(sys.executable).with_name("mtil")), *arguments], check=True)


if __name__ == "__main__":
    main()
