"""Environment steps per second of a whole evaluation, beside the simulator's own rate over the same episodes.

The simulator's own rate is that of one process that does nothing but take the steps: it makes one environment of each
task, and replays the policy's actions from the same placements. For Meta-World that is done twice: in its environments
as they come, and in ours, which take the same steps faster. What `mtil evaluate` adds is starting processes, more
environments, messages, and the policy. A ratio of 1 on C cores is C times a simulator's rate; all alternate in rounds,
and a ratio is of one round. "Running" leaves out what comes before each worker's first observation. CPU seconds are of
all processes together: they tell what a busy machine hides.

    python scripts/benchmarks/evaluation_speed.py runs/mt50-state --episodes 10 --rounds 5 --json speed.json
"""

import argparse
import json
import math
import resource
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path

import gymnasium
import numpy as np
import torch
from metaworld_speed import own_environment
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mtil.evaluation.conditioning import common_tasks, descriptors
from mtil.evaluation.rollout import Observation, roll_out, slots_for
from mtil.evaluation.schedule import Trial
from mtil.evaluation.trials import trials_of
from mtil.policies.actor import Actor
from mtil.policies.checkpoint import load_policy
from mtil.policies.policy import Policy
from mtil.ranks import cores
from mtil.sim.base import Simulator, load
from mtil.sim.metaworld import MetaWorldEnv

SEED = 0
OURS, OWN = "our environment alone", "Meta-World's alone"


@dataclass(frozen=True)
class Played:
    """What the policy did in a trial, and where everything stood, as Meta-World draws it (None: not Meta-World)."""

    actions: list[np.ndarray]
    drawn: np.ndarray | None


@dataclass(frozen=True)
class Speed:
    """Steps per second of the clock, with and without start-up, and CPU seconds of all processes per step."""

    rate: float
    running: float
    cpu: float


class Watched:
    """An actor, and the moment from which each worker's environments have asked it something.

    Attributes:
        began: That moment, of `time.perf_counter`.
        earlier: Steps decided before it.
    """

    def __init__(self, actor: Actor, *, workers: int) -> None:
        self.slots, self.began, self.earlier = actor.slots, math.inf, 0
        self._actor, self._workers, self._silent = actor, workers, set(range(workers))

    def reset(self, row: int, z: torch.Tensor, task: str) -> None:
        self._actor.reset(row, z, task)

    def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
        if self._silent:
            asking = [slot for slot, observation in enumerate(observations) if observation is not None]
            self._silent.difference_update(slot % self._workers for slot in asking)
            if self._silent:
                self.earlier += len(asking)
            else:
                self.began = time.perf_counter()
        return self._actor.act(observations)


def main() -> None:
    options = _options()
    torch.set_num_threads(1)
    loaded = load_policy(options.run)
    name = options.suite or loaded.card.suite
    assert name is not None, "the run does not name a simulator; choose one with --suite"
    suite, policy = load(name), loaded.policy
    told = descriptors(policy, policy.default_kind, common_tasks(policy, suite, options.tasks, policy.default_kind))
    trials = trials_of(list(told), told, episodes=range(options.episodes), seed=SEED, spec=policy.spec)
    played = _play(suite, policy, trials)
    steps = sum(len(each.actions) for each in played)
    rounds: list[dict[str, Speed]] = []
    for _ in track(range(options.rounds), description="rounds"):
        speeds = {OURS: _replayed(suite, policy, trials, played)}
        if all(each.drawn is not None for each in played):
            speeds[OWN] = _replayed_by_meta_world(trials, played)
        for workers in options.workers:
            actor = Watched(Actor(policy, slots=options.slots or slots_for(workers)), workers=workers)
            speeds[f"{workers} workers"] = _evaluated(suite, policy, actor, trials, workers, steps)
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
    parser.add_argument("--slots", type=int, help="instead of those of `mtil evaluate`")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _play(suite: Simulator, policy: Policy, trials: Sequence[Trial]) -> list[Played]:
    actor, played = Actor(policy, slots=1), []
    for env, trial in _environments(suite, policy, trials):
        actor.reset(0, trial.z, trial.task)
        observation, _ = env.reset(seed=trial.placement)
        drawn = np.array(env._env._last_rand_vec) if isinstance(env, MetaWorldEnv) else None
        taken, over = [], False
        while not over:
            (action,) = actor.act([observation])
            assert action is not None
            taken.append(action)
            observation, _, terminated, truncated, info = env.step(action)
            over = info["success"] or terminated or truncated
        played.append(Played(taken, drawn))
    return played


def _replayed(suite: Simulator, policy: Policy, trials: Sequence[Trial], played: Sequence[Played]) -> Speed:
    began, cpu = time.perf_counter(), _cpu()
    for (env, trial), each in zip(_environments(suite, policy, trials), played, strict=True):
        env.reset(seed=trial.placement)
        for action in each.actions:
            env.step(action)
    return _alone(began, cpu, played)


def _replayed_by_meta_world(trials: Sequence[Trial], played: Sequence[Played]) -> Speed:
    began, cpu = time.perf_counter(), _cpu()
    for task, group in groupby(zip(trials, played, strict=True), key=lambda pair: pair[0].task):
        env = own_environment(task)
        for _, each in group:
            env._last_rand_vec = each.drawn
            env.reset()
            ends = [env.step(action.clip(-1, 1))[-1]["success"] for action in each.actions]
            assert len(ends) == env.max_path_length or ends[-1], "Meta-World came to another end"
        env.close()
    return _alone(began, cpu, played)


def _alone(began: float, cpu: float, played: Sequence[Played]) -> Speed:
    steps = sum(len(each.actions) for each in played)
    rate = steps / (time.perf_counter() - began)
    return Speed(rate=rate, running=rate, cpu=(_cpu() - cpu) / steps)


def _environments(suite: Simulator, policy: Policy, trials: Sequence[Trial]) -> Iterator[tuple[gymnasium.Env, Trial]]:
    """An environment for each trial, the same for all of a task, that shows what the policy sees."""
    for task, group in groupby(trials, key=lambda trial: trial.task):
        env = suite.make(policy.spec.simulated(task), views=policy.spec.views(task))
        yield from ((env, trial) for trial in group)
        env.close()


def _evaluated(
    suite: Simulator, policy: Policy, actor: Watched, trials: Sequence[Trial], workers: int, steps: int
) -> Speed:
    began, cpu = time.perf_counter(), _cpu()
    outcomes = list(roll_out(actor, trials, simulator=suite.name, workers=workers))
    ended = time.perf_counter()
    assert sum(outcome.length for outcome in outcomes) == steps, "the evaluation took other steps than were recorded"
    return Speed(
        rate=steps / (ended - began),
        running=(steps - actor.earlier) / (ended - actor.began),
        cpu=(_cpu() - cpu) / steps,
    )


def _cpu() -> float:
    """CPU seconds of this process and of its children that have ended."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _report(rounds: list[dict[str, Speed]], options: argparse.Namespace, steps: int) -> None:
    table = Table("", "median", "least", "most", title=f"{len(rounds)} rounds of {steps} steps, {cores()} core(s)")
    ratios: dict[str, dict[str, list[float]]] = {}
    for name in rounds[0]:
        table.add_row(f"{name}: steps/s", *_spread([each[name].rate for each in rounds], ".0f"))
        table.add_row(f"{name}: CPU us/step", *_spread([1e6 * each[name].cpu for each in rounds], ".0f"))
    for workers in options.workers:
        used = min(workers, cores())
        ratios[str(workers)] = found = {}
        for alone in (OURS, OWN):
            pairs = [(each[f"{workers} workers"], each[alone]) for each in rounds if alone in each]
            if pairs:
                found[f"/ ({used} x {alone})"] = [it.rate / (used * its.rate) for it, its in pairs]
                found[f"running, / ({used} x {alone})"] = [it.running / (used * its.rate) for it, its in pairs]
        for name, values in found.items():
            table.add_row(f"{workers} workers: {name}", *_spread(values, ".3f"))
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
