"""What success on Fetch is worth: how often the goal is reached from the start, by nothing, by chance, by the expert.

Success is as `mtil evaluate` counts it, at any step after the reset; the first column alone looks at the reset itself.

    python scripts/benchmarks/fetch_floor.py --episodes 200 --noise 0 0.1
    python scripts/benchmarks/fetch_floor.py --episodes 200 --noise 0 0.1 --stream collection
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import gymnasium
import numpy as np
from rich.console import Console
from rich.table import Table

from mtil.evaluation.metrics import wilson_interval
from mtil.sim.base import Simulator, Stream, load, placement

Act = Callable[[Mapping[str, np.ndarray], np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Tally:
    """What became of some episodes: at the start, in the end, in steps up to the success, and in seconds a step."""

    solved: np.ndarray
    reached: np.ndarray
    lengths: np.ndarray
    seconds: float


def main() -> None:
    options = _options()
    suite = load("fetch")
    tasks = options.tasks or [task.name for task in suite.tasks()]
    experts = [f"expert, noise {noise:g}" for noise in options.noise]
    rows = ["solved at the start", "standing still", "random actions", *experts, "steps of the expert", "steps/s"]
    title = f"% of {options.episodes} placements ({options.stream}, seed {options.seed}), 95% intervals; CPU time"
    table = Table("", *tasks, title=title)
    for row in zip(rows, *(_column(suite, task, options) for task in tasks), strict=True):
        table.add_row(*row)
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=lambda text: text.split(","), help="comma-separated; all by default")
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stream", choices=get_args(Stream), default="evaluation", help="which placements")
    parser.add_argument("--noise", type=float, nargs="+", default=[0.0, 0.1], help="on the expert's actions")
    return parser.parse_args()


def _column(suite: Simulator, task: str, options: argparse.Namespace) -> list[str]:
    env = suite.make(task)
    placements = [placement(options.stream, options.seed, task, episode) for episode in range(options.episodes)]
    still = _tally(env, placements, lambda _, __: np.zeros(4))
    chance = _tally(env, placements, lambda _, rng: rng.uniform(-1.0, 1.0, 4))
    experts = [_tally(env, placements, _expert(suite, task, noise)) for noise in options.noise]
    env.close()
    rates = [_rate(each) for each in (still.solved, still.reached, chance.reached, *(each.reached for each in experts))]
    lengths = experts[0].lengths
    return [*rates, f"{lengths.mean():.1f}, at most {lengths.max():.0f}", f"{1 / still.seconds:.0f}"]


def _expert(suite: Simulator, task: str, noise: float) -> Act:
    """The expert under noise, as `mtil collect` has it."""
    expert = suite.expert(task)
    assert expert is not None

    def act(observation: Mapping[str, np.ndarray], rng: np.random.Generator) -> np.ndarray:
        return np.clip(expert(observation), -1.0, 1.0) + rng.normal(0.0, noise, 4)

    return act


def _tally(env: gymnasium.Env, placements: list[int], act: Act) -> Tally:
    solved, reached, lengths, steps = [], [], [], 0
    begun = time.process_time()
    for start in placements:
        rng = np.random.default_rng((start, 1))
        observation, info = env.reset(seed=start)
        solved.append(info["success"])
        length, success, truncated = 0, False, False
        while not (success or truncated):
            observation, _, _, truncated, info = env.step(act(observation, rng))
            length, success = length + 1, info["success"]
        reached.append(success)
        lengths += [length] if success else []
        steps += length
    return Tally(np.array(solved), np.array(reached), np.array(lengths), (time.process_time() - begun) / steps)


def _rate(successes: np.ndarray) -> str:
    low, high = wilson_interval(np.array([successes.sum()]), np.array([len(successes)]))
    return f"{100 * successes.mean():.1f} ({100 * low[0]:.1f} - {100 * high[0]:.1f})"


if __name__ == "__main__":
    main()
