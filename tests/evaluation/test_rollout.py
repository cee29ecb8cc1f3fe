from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from mtil.errors import OutputError, SimulatorError
from mtil.evaluation.metrics import EvaluationResult, Outcome
from mtil.evaluation.rollout import Observation, Recording, Trial, evaluate, roll_out
from mtil.ranks import ALONE, Rank
from mtil.sim.base import load, placement

GO, STAY = torch.ones(1), torch.zeros(1)


class Controller:
    """The toy's expert in every slot, its strides multiplied by z; it keeps the order of tasks in each slot."""

    def __init__(self, *, slots: int) -> None:
        self.slots = slots
        self.tasks: list[list[str]] = [[] for _ in range(slots)]
        self._gains = [0.0] * slots
        self._expert = load("toy").expert("near") or pytest.fail("the toy has an expert")

    def reset(self, row: int, z: Tensor, task: str) -> None:
        self._gains[row] = float(z[0])
        self.tasks[row].append(task)

    def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
        assert len(observations) == self.slots
        return [
            None if observation is None else np.float32(gain) * self._expert(observation)
            for observation, gain in zip(observations, self._gains, strict=True)
        ]


@pytest.fixture
def run(toy_suite: str) -> Callable[..., EvaluationResult]:
    def run(descriptors: Mapping[str, Sequence[Tensor]], *, slots: int = 4, workers: int = 1, **options):
        settings = {"episodes": 4, "seed": 0, "condition": "one_hot", "checkpoint": "none", "tasks": list(descriptors)}
        return evaluate(
            Controller(slots=slots),
            simulator=toy_suite,
            descriptors=descriptors,
            workers=workers,
            **settings | options,
        )

    return run


def test_success_is_counted_for_each_task_in_the_suites_order(run: Callable[..., EvaluationResult]) -> None:
    result = run({"impossible": [GO], "far": [GO], "near": [GO]})
    assert [(task.task, task.successes, task.episodes, task.mean_length) for task in result.tasks] == [
        ("near", 4, 4, 4.0),
        ("far", 4, 4, 12.0),
        ("impossible", 0, 4, 20.0),
    ]
    assert result.mean.rate == pytest.approx(2 / 3)
    protocol = result.protocol
    assert (protocol.suite, protocol.horizon, protocol.episodes_per_task, protocol.seed) == ("toy", 20, 4, 0)
    assert (protocol.condition, protocol.checkpoint) == ("one_hot", "none")
    assert protocol.success == load("toy").success


def test_descriptors_take_turns(run: Callable[..., EvaluationResult]) -> None:
    outcomes: list[Outcome] = []
    run({"near": [GO, STAY, STAY]}, episodes=8, slots=3, progress=outcomes.append)
    assert sorted(outcome.episode for outcome in outcomes if outcome.success) == [0, 3, 6]
    assert sorted(outcome.episode for outcome in outcomes) == list(range(8))


@pytest.mark.parametrize("slots", [1, 5, 32])
def test_the_result_is_the_same_for_any_number_of_workers(run: Callable[..., EvaluationResult], slots: int) -> None:
    descriptors = {"near": [GO, STAY], "far": [0.5 * GO, GO, 2 * GO], "impossible": [GO]}
    results = [run(descriptors, slots=slots, workers=workers, episodes=6) for workers in (1, 3)]
    assert results[0] == results[1]


def test_each_slot_runs_the_same_trials_for_any_number_of_workers(toy_suite: str) -> None:
    trials = [
        Trial(task=task, episode=episode, placement=episode, z=GO)
        for task in ("near", "far", "impossible")
        for episode in range(5)
    ]
    orders = []
    for workers in (1, 3):
        actor = Controller(slots=4)
        outcomes = list(roll_out(actor, trials, simulator=toy_suite, workers=workers))
        assert sorted((outcome.task, outcome.episode) for outcome in outcomes) == sorted(
            (trial.task, trial.episode) for trial in trials
        )
        orders.append(actor.tasks)
    assert orders[0] == orders[1]
    assert sorted(map(len, orders[0])) == [3, 4, 4, 4]
    assert all(len(set(order)) <= 2 for order in orders[0])


@pytest.mark.parametrize("count", [2, 5])
def test_the_ranks_outcomes_are_those_of_one(toy_suite: str, count: int) -> None:
    """Whatever ran before in the same slot; also where there are more ranks than trials."""
    gains = {("near", 0): GO, ("near", 1): STAY, ("far", 0): 0.5 * GO, ("far", 1): GO}
    trials = [Trial(task=task, episode=j, placement=j, z=z) for (task, j), z in gains.items()]

    def outcomes(rank: Rank) -> set[Outcome]:
        return set(roll_out(Controller(slots=2), rank.stretch(trials), simulator=toy_suite, workers=1))

    alone = outcomes(ALONE)
    assert len(alone) == len({outcome.length for outcome in alone}) + 1 == 4
    assert set.union(*(outcomes(Rank(index, count)) for index in range(count))) == alone


def test_episodes_start_from_the_evaluations_own_placements(toy_suite: str) -> None:
    class Watcher(Controller):
        goals: set[tuple[float, ...]] = set()  # noqa: RUF012

        def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
            self.goals.update(tuple(seen["goal"].tolist()) for seen in observations if seen is not None)
            return super().act(observations)

    evaluate(
        Watcher(slots=2),
        simulator=toy_suite,
        descriptors={"near": [GO]},
        episodes=3,
        seed=11,
        workers=1,
        condition="one_hot",
        checkpoint="none",
        tasks=["near"],
    )
    env = load(toy_suite).make("near")
    seeds = [placement("evaluation", 11, "near", episode) for episode in range(3)]
    assert Watcher.goals == {tuple(env.reset(seed=seed)[0]["goal"].tolist()) for seed in seeds}


def test_the_first_episode_of_each_task_is_filmed(run: Callable[..., EvaluationResult], tmp_path: Path) -> None:
    folder = tmp_path / "films"
    recording = Recording(folder, camera="top", image_size=32)
    filmed = run({"near": [GO], "far": [GO]}, recording=recording)
    assert filmed == run({"near": [GO], "far": [GO]})
    assert sorted(path.name for path in folder.iterdir()) == ["far.mp4", "near.mp4"]
    with av.open(str(folder / "far.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 13


def test_a_folder_for_films_that_cannot_be_made(run: Callable[..., EvaluationResult], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file/films: the folder cannot be made: Not a directory"):
        run({"near": [GO]}, recording=Recording(tmp_path / "file" / "films", camera="top"))


def test_tasks_that_do_not_exist_or_are_not_told(run: Callable[..., EvaluationResult]) -> None:
    with pytest.raises(SimulatorError, match="unknown task of toy 'nera'; did you mean 'near'"):
        run({"near": [GO]}, tasks=["near", "nera"])
    with pytest.raises(SimulatorError, match="task 'far': no descriptor tells the policy of it; told: near"):
        run({"near": [GO]}, tasks=["near", "far"])


@pytest.mark.parametrize(("task", "message"), [("broken", "broken: ZeroDivisionError"), ("fatal", "process died")])
def test_failing_environments_end_the_evaluation(run: Callable[..., EvaluationResult], task: str, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        run({"near": [GO], task: [GO]}, workers=2)


def test_what_an_actor_raises_ends_the_evaluation(toy_suite: str) -> None:
    class Doubtful(Controller):
        def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
            raise SimulatorError("observation 'touch': the policy needs it")

    trial = Trial(task="near", episode=0, placement=0, z=GO)
    with pytest.raises(SimulatorError, match="touch"):
        list(roll_out(Doubtful(slots=2), [trial], simulator=toy_suite, workers=2))
