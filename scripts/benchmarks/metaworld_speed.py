"""How fast our Meta-World environments step, beside Meta-World's own, from the same placements with the same actions.

Both go through the expert's episodes in turn, resets included, and each must see what the other sees. Seconds are of
this process's CPU time, since a neighbour's work does not count in them.

    python scripts/benchmarks/metaworld_speed.py metaworld-mt10 --episodes 5 --rounds 3
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from metaworld import env_dict
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mtil.sim.base import Simulator, load, placement
from mtil.sim.metaworld import MetaWorldEnv


@dataclass(frozen=True)
class Episode:
    """A placement, as its seed and as the vector that Meta-World draws; the actions; and what is seen at the end."""

    placement: int
    drawn: np.ndarray
    actions: list[np.ndarray]
    last: dict[str, np.ndarray]


def main() -> None:
    options = _options()
    suite = load(options.suite)
    names = options.tasks or [task.name for task in suite.tasks()]
    table = Table("task", "ours, us/step", "Meta-World's own", "own / ours", title="CPU time, median of the rounds")
    ratios = []
    for name in track(names, description="tasks"):
        ours, own, steps = _times(suite, name, options)
        table.add_row(name, f"{1e6 * ours / steps:.0f}", f"{1e6 * own / steps:.0f}", f"{own / ours:.2f}")
        ratios.append(own / ours)
    table.add_row("mean", "", "", f"{statistics.fmean(ratios):.2f}")
    Console().print(table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--tasks", type=lambda text: text.split(","), help="comma-separated; all by default")
    parser.add_argument("--episodes", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _times(suite: Simulator, task: str, options: argparse.Namespace) -> tuple[float, float, int]:
    """Seconds for all episodes in both, and their steps."""
    ours, own = suite.make(task), own_environment(task)
    assert isinstance(ours, MetaWorldEnv)
    episodes = [_played(suite, ours, task, episode) for episode in range(options.episodes)]
    seconds: dict[str, list[float]] = {"ours": [], "own": []}
    for _ in range(options.rounds):
        for name, run in {"ours": _run_ours, "own": _run_own}.items():
            began = time.process_time()
            run(ours, own, episodes)
            seconds[name].append(time.process_time() - began)
    steps = sum(len(episode.actions) for episode in episodes)
    return statistics.median(seconds["ours"]), statistics.median(seconds["own"]), steps


def own_environment(task: str) -> Any:
    """Meta-World's environment as it comes, its goal visible."""
    env = env_dict.ALL_V3_ENVIRONMENTS[task]()
    env._set_task_called, env._partially_observable = True, False
    del env.sawyer_observation_space  # cached while the goal was still hidden
    return env


def _played(suite: Simulator, env: MetaWorldEnv, task: str, episode: int) -> Episode:
    expert = suite.expert(task)
    assert expert is not None, "Meta-World has an expert for each task"
    start, actions, over = placement("evaluation", 0, task, episode), [], False
    observation, _ = env.reset(seed=start)
    drawn = np.array(env._env._last_rand_vec)
    while not over:
        actions.append(np.clip(expert(observation), -1, 1))
        observation, _, _, truncated, info = env.step(actions[-1])
        over = info["success"] or truncated
    return Episode(start, drawn, actions, observation)


def _run_ours(ours: MetaWorldEnv, own: Any, episodes: Sequence[Episode]) -> None:
    for episode in episodes:
        ours.reset(seed=episode.placement)
        seen = [ours.step(action)[0] for action in episode.actions][-1]
        assert all(np.array_equal(seen[key], value) for key, value in episode.last.items())


def _run_own(ours: MetaWorldEnv, own: Any, episodes: Sequence[Episode]) -> None:
    for episode in episodes:
        own._last_rand_vec = episode.drawn
        own.reset()
        vector = [own.step(action)[0] for action in episode.actions][-1].astype(np.float32)
        assert np.array_equal(vector[[*range(18), 36, 37, 38]], np.concatenate([*episode.last.values()]))


if __name__ == "__main__":
    main()
