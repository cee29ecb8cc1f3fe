"""How fast one process steps an environment that shows camera views, and how much of it is the picture.

Per task and camera, and for all cameras together: steps per second of the clock, steps per second of CPU time, which
tells what a busy machine hides, and milliseconds of CPU time that the images add to a step. Actions are random.

    python scripts/benchmarks/rendering.py metaworld-mt50 --tasks push-v3,door-open-v3 --camera corner,corner2 \
        --crop corner=0.2,0.17,0.85,0.82 --crop corner2=0.31,0.34,0.75,0.78
"""

import argparse
import time
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from mtil.collection.config import CollectionConfig, read_cameras
from mtil.sim.base import Simulator, load
from mtil.types import CameraView


def main() -> None:
    options = _options()
    suite = load(options.suite)
    cameras = read_cameras(options.camera, size=options.image_size, crops=options.crop)
    views = CollectionConfig(cameras=cameras).views
    table = Table("task", "views", "steps/s", "steps/CPU s", "ms for images", title=f"{options.image_size} pixels")
    for task in options.tasks or [task.name for task in suite.tasks()]:
        _, bare = _rates(suite, task, (), options.steps)
        for shown in dict.fromkeys([*((view,) for view in views), views]):
            clock, cpu = _rates(suite, task, shown, options.steps)
            names = ", ".join(view.camera for view in shown)
            table.add_row(task, names, f"{clock:.0f}", f"{cpu:.0f}", f"{1e3 / cpu - 1e3 / bare:.1f}")
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--tasks", type=lambda text: text.split(","), help="comma-separated; all by default")
    parser.add_argument("--camera", type=lambda text: text.split(","), required=True, help="comma-separated")
    parser.add_argument("--crop", action="append", default=[], help="CAMERA=LEFT,TOP,RIGHT,BOTTOM")
    parser.add_argument("--image-size", type=int, default=84)
    parser.add_argument("--steps", type=int, default=200)
    return parser.parse_args()


def _rates(suite: Simulator, task: str, views: Sequence[CameraView], steps: int) -> tuple[float, float]:
    """Steps per second of the clock and of CPU time, the first few left out."""
    env = suite.make(task, views=views)
    env.reset(seed=0)
    env.action_space.seed(0)
    began, cpu = time.perf_counter(), time.process_time()
    for step in range(-5, steps):
        if step == 0:
            began, cpu = time.perf_counter(), time.process_time()
        env.step(env.action_space.sample())
    rates = steps / (time.perf_counter() - began), steps / (time.process_time() - cpu)
    env.close()
    return rates


if __name__ == "__main__":
    main()
