from collections.abc import Sequence

import numpy as np
import pytest
import torch

from mtil.errors import SimulatorError
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.metrics import Outcome
from mtil.evaluation.rollout import Observation, Trial, roll_out
from mtil.ranks import ALONE, Rank

GO, STAY = Descriptor("go", torch.ones(1)), Descriptor("stay", torch.zeros(1))
SLOWLY = Descriptor("slowly", 0.5 * torch.ones(1))


def test_each_slot_runs_the_same_trials_for_any_number_of_workers(toy_suite: str, controller: type) -> None:
    trials = [
        Trial(task=task, episode=episode, placement=episode, told="go", z=GO.z)
        for task in ("near", "far", "impossible")
        for episode in range(5)
    ]
    orders = []
    for workers in (1, 3):
        actor = controller(slots=4)
        outcomes = list(roll_out(actor, trials, simulator=toy_suite, workers=workers))
        assert sorted((outcome.task, outcome.episode) for outcome in outcomes) == sorted(
            (trial.task, trial.episode) for trial in trials
        )
        orders.append(actor.tasks)
    assert orders[0] == orders[1]
    assert sorted(map(len, orders[0])) == [3, 4, 4, 4]
    assert all(len(set(order)) <= 2 for order in orders[0])


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
