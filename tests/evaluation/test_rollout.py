import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from mtil.errors import SimulatorError
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.metrics import Outcome
from mtil.evaluation.rollout import Actor, Observation, Trial, roll_out
from mtil.ranks import ALONE, Rank
from mtil.sim.workers import PATIENCE
from mtil.types import CameraView

GO, STAY = Descriptor("go", torch.ones(1)), Descriptor("stay", torch.zeros(1))
SLOWLY = Descriptor("slowly", 0.5 * torch.ones(1))


def trials_of(tasks: Sequence[str], episodes: int = 4) -> list[Trial]:
    return [
        Trial(task=task, episode=episode, placement=episode, told="go", z=GO.z)
        for task in tasks
        for episode in range(episodes)
    ]


def same(outcomes: Iterable[Outcome]) -> set[Outcome]:
    """What must not depend on how often an episode was begun."""
    return {replace(outcome, reruns=0) for outcome in outcomes}


@pytest.mark.parametrize("slots", [2, 64])
def test_outcomes_are_the_same_for_any_number_of_workers(toy_suite: str, controller: type, slots: int) -> None:
    trials = trials_of(("near", "far", "impossible"))
    results = []
    for workers in (1, 2, 4):
        outcomes = list(roll_out(controller(slots=slots), trials, simulator=toy_suite, workers=workers))
        assert Counter((each.task, each.episode) for each in outcomes) == Counter((t.task, t.episode) for t in trials)
        assert not any(outcome.reruns for outcome in outcomes)
        results.append(set(outcomes))
    assert results[0] == results[1] == results[2]


def test_an_actor_is_shown_the_views_asked_for(toy_suite: str, controller: type) -> None:
    shown: set[tuple[int, ...]] = set()

    class Spectator(controller):
        def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
            shown.update(seen["top_image"].shape for seen in observations if seen is not None)
            return super().act(observations)

    views = (CameraView("top", 6),)
    trials = trials_of(("near", "far"), episodes=2)
    shown_them = [replace(trial, views=views) for trial in trials]
    found = set(roll_out(Spectator(slots=2), shown_them, simulator=toy_suite, workers=2))
    assert shown == {(6, 6, 3)}
    assert found == set(roll_out(controller(slots=2), trials, simulator=toy_suite, workers=1))


def test_slots_stay_with_a_task(toy_suite: str, controller: type) -> None:
    actor = controller(slots=4)
    list(roll_out(actor, trials_of(("near", "far", "impossible"), episodes=6), simulator=toy_suite, workers=2))
    changes = sum(before != after for tasks in actor.tasks for before, after in pairwise(tasks))
    assert changes <= 4


@pytest.mark.parametrize("count", [2, 5])
def test_the_ranks_outcomes_are_those_of_one(toy_suite: str, controller: type, count: int) -> None:
    """Whatever ran before in the same slot; also where there are more ranks than trials."""
    gains = {("near", 0): GO, ("near", 1): STAY, ("far", 0): SLOWLY, ("far", 1): GO}
    trials = [Trial(task=task, episode=j, placement=j, told=way.words, z=way.z) for (task, j), way in gains.items()]

    def outcomes(rank: Rank) -> set[Outcome]:
        return set(roll_out(controller(slots=2), rank.stretch(trials), simulator=toy_suite, workers=1))

    alone = outcomes(ALONE)
    assert len(alone) == len({outcome.length for outcome in alone}) + 1 == 4
    assert set.union(*(outcomes(Rank(index, count)) for index in range(count))) == alone


def test_what_an_actor_raises_ends_the_evaluation(toy_suite: str, controller: type) -> None:
    class Doubtful(controller):
        def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
            raise SimulatorError("observation 'touch': the policy needs it")

    trial = Trial(task="near", episode=0, placement=0, told="go", z=GO.z)
    with pytest.raises(SimulatorError, match="touch"):
        list(roll_out(Doubtful(slots=2), [trial], simulator=toy_suite, workers=2))


class Assassin:
    """Wraps an actor: a worker that has sent an observation gets a signal before a number of calls, and never again."""

    def __init__(self, actor: Actor, number: signal.Signals, *, calls: Collection[int]) -> None:
        self.slots = actor.slots
        self._actor, self._number, self._calls = actor, number, calls
        self._count = 0

    def reset(self, row: int, z: Tensor, task: str) -> None:
        self._actor.reset(row, z, task)

    def act(self, observations: Sequence[Observation | None]) -> Sequence[np.ndarray | None]:
        self._count += 1
        if self._count in self._calls:
            seen = next(observation for observation in observations if observation is not None)
            os.kill(int(seen["process"][0]), self._number)
        return self._actor.act(observations)


@pytest.mark.parametrize(
    ("workers", "number", "patience"),
    [(1, signal.SIGKILL, PATIENCE), (2, signal.SIGKILL, PATIENCE), (2, signal.SIGSTOP, 2.0)],
    ids=["killed alone", "killed beside another", "hung"],
)
def test_episodes_of_a_lost_worker_are_run_again(
    toy_suite: str, controller: type, workers: int, number: signal.Signals, patience: float
) -> None:
    trials = trials_of(("near", "far", "impossible"))
    expected = same(roll_out(controller(slots=4), trials, simulator=toy_suite, workers=1))
    actor = Assassin(controller(slots=4), number, calls={5, 20})
    outcomes = list(roll_out(actor, trials, simulator=toy_suite, workers=workers, patience=patience))
    assert len(outcomes) == len(trials)
    assert same(outcomes) == expected
    assert 2 <= sum(outcome.reruns for outcome in outcomes) <= 8
    assert not multiprocessing.active_children()


def test_an_episode_that_always_kills_its_worker_is_named_and_others_are_not_to_blame(
    toy_suite: str, controller: type
) -> None:
    trials = trials_of(("impossible", "fatal", "far"), episodes=1)
    message = r"^fatal: episode 0 \(placement 0\) has cost its environment process 3 times, .* died \(exit status 3\)$"
    with pytest.raises(SimulatorError, match=message):
        list(roll_out(controller(slots=8), trials, simulator=toy_suite, workers=1))
