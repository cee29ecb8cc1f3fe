"""Environment steps per second of a whole evaluation, beside the simulator's own rate over the same episodes.

The simulator's own rate is that of one process that does nothing but take the steps: it makes one environment of each
task, and replays the policy's actions from the same placements. What `mtil evaluate` adds is starting processes, more
environments, messages, and the policy. A ratio of 1 on C cores is C times the simulator's own rate; all alternate in
rounds, and a ratio is of one round. CPU seconds are of all processes together: they tell what a busy machine hides.

    python scripts/benchmarks/evaluation_speed.py runs/mt50-state --episodes 10 --rounds 5 --json speed.json
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

import gymnasium
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mtil.evaluation.checkpoint import SLOTS
from mtil.evaluation.conditioning import common_tasks, descriptors
from mtil.evaluation.rollout import roll_out
from mtil.evaluation.schedule import Trial
from mtil.evaluation.trials import trials_of
from mtil.policies.actor import Actor
from mtil.policies.checkpoint import load_policy
from mtil.policies.policy import Policy
from mtil.ranks import cores
from mtil.sim.base import Simulator, load

SEED = 0


@dataclass(frozen=True)
class Speed:
    """Steps per second of the clock, and CPU seconds of all processes per step."""

    rate: float
    cpu: float


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    loaded = load_policy(options.run)
    name = options.suite or loaded.card.suite
    assert name is not None, "the run does not name a simulator; choose one with --suite"
    suite, policy = load(name), loaded.policy
    told = descriptors(policy, policy.kinds[0], common_tasks(policy, suite, options.tasks))
    trials = trials_of(list(told), told, episodes=range(options.episodes), seed=SEED)
    actions = _play(suite, policy, trials)
    steps = sum(map(len, actions))
    rounds: list[dict[str, Speed]] = []
    for _ in track(range(options.rounds), description="rounds"):
        speeds = {"simulator": _speed(partial(_replay, suite, policy, trials, actions), steps)}
        for workers in options.workers:
            actor = Actor(policy, slots=options.slots)
            speeds[f"{workers} workers"] = _speed(
                partial(_evaluate, suite, policy, actor, trials, workers, steps), steps
            )
        rounds.append(speeds)
    _report(rounds, options, steps)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run directory, checkpoint or export")
    parser.add_argument("--suite")
    parser.add_argument("--tasks", type=lambda text: text.split(","))
    parser.add_argument("--episodes", type=int, default=10, help="of each task")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, nargs="+", default=sorted({1, cores()}))
    parser.add_argument("--slots", type=int, default=SLOTS)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _play(suite: Simulator, policy: Policy, trials: Sequence[Trial]) -> list[list[np.ndarray]]:
    """The actions of the policy in each trial."""
    actor, actions = Actor(policy, slots=1), []
    for env, trial in _environments(suite, policy, trials):
        actor.reset(0, trial.z, trial.task)
        observation, _ = env.reset(seed=trial.placement)
        taken, over = [], False
        while not over:
            (action,) = actor.act([observation])
            assert action is not None
            taken.append(action)
            observation, _, terminated, truncated, info = env.step(action)
            over = info["success"] or terminated or truncated
        actions.append(taken)
    return actions


def _replay(suite: Simulator, policy: Policy, trials: Sequence[Trial], actions: list[list[np.ndarray]]) -> None:
    for (env, trial), taken in zip(_environments(suite, policy, trials), actions, strict=True):
        env.reset(seed=trial.placement)
        for action in taken:
            env.step(action)


def _environments(suite: Simulator, policy: Policy, trials: Sequence[Trial]) -> Iterator[tuple[gymnasium.Env, Trial]]:
    """An environment for each trial, the same for all of a task, that shows what the policy sees."""
    for task, group in groupby(trials, key=lambda trial: trial.task):
        env = suite.make(task, views=policy.spec.views)
        yield from ((env, trial) for trial in group)
        env.close()


def _evaluate(
    suite: Simulator, policy: Policy, actor: Actor, trials: Sequence[Trial], workers: int, steps: int
) -> None:
    outcomes = roll_out(actor, trials, simulator=suite.name, workers=workers, views=policy.spec.views)
    assert sum(outcome.length for outcome in outcomes) == steps, "the evaluation took other steps than were recorded"


def _speed(work: Callable[[], None], steps: int) -> Speed:
    began, cpu = time.perf_counter(), _cpu()
    work()
    return Speed(rate=steps / (time.perf_counter() - began), cpu=(_cpu() - cpu) / steps)


def _cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _report(rounds: list[dict[str, Speed]], options: argparse.Namespace, steps: int) -> None:
    table = Table("", "median", "least", "most", title=f"{len(rounds)} rounds of {steps} steps, {cores()} core(s)")
    ratios: dict[str, list[float]] = {}
    for name in rounds[0]:
        table.add_row(f"{name}: steps/s", *_spread([each[name].rate for each in rounds], ".0f"))
        table.add_row(f"{name}: CPU us/step", *_spread([1e6 * each[name].cpu for each in rounds], ".0f"))
    for workers in options.workers:
        used = min(workers, cores())
        ratios[str(workers)] = [r[f"{workers} workers"].rate / (used * r["simulator"].rate) for r in rounds]
        table.add_row(f"{workers} workers / ({used} x simulator)", *_spread(ratios[str(workers)], ".3f"))
    Console().print(table)
    if options.json:
        record = {"steps": steps, "cores": cores(), "slots": options.slots, "ratios": ratios,
                  "rounds": [{name: asdict(speed) for name, speed in each.items()} for each in rounds]}  # fmt: skip
        options.json.write_text(json.dumps(record, indent=2))


def _spread(values: list[float], form: str) -> list[str]:
    return [format(f(values), form) for f in (statistics.median, min, max)]


if __name__ == "__main__":
    del __file__  # or workers would import this script, and with it torch, which those of `mtil evaluate` do not
    main()
