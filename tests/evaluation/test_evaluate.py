from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mtil.errors import OutputError, SimulatorError
from mtil.evaluation.conditioning import Descriptor
from mtil.evaluation.evaluate import evaluate, run_trials
from mtil.evaluation.metrics import EvaluationResult, Outcome
from mtil.evaluation.rollout import Observation, Recording
from mtil.evaluation.trials import trials_of
from mtil.sim.base import load, placement
from mtil.types import CameraView, DatasetSpec, FeatureSpec, Task

GO, STAY = Descriptor("go", torch.ones(1)), Descriptor("stay", torch.zeros(1))
SLOWLY, FAST = Descriptor("slowly", 0.5 * torch.ones(1)), Descriptor("fast", 2 * torch.ones(1))


@pytest.fixture
def run(toy_suite: str, controller: Callable) -> Callable[..., EvaluationResult]:
    def run(descriptors: Mapping[str, Sequence[Descriptor]], *, slots: int = 4, workers: int = 1, **options):
        settings = {"episodes": 4, "seed": 0, "condition": "one_hot", "checkpoint": "none", "tasks": list(descriptors)}
        return evaluate(
            controller(slots=slots),
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
    descriptors = {"near": [GO, STAY], "far": [SLOWLY, GO, FAST], "impossible": [GO]}
    results = [run(descriptors, slots=slots, workers=workers, episodes=6) for workers in (1, 3)]
    assert results[0] == results[1]


def test_episodes_start_from_the_evaluations_own_placements(toy_suite: str, controller: type) -> None:
    class Watcher(controller):
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


def test_the_policy_sees_the_views_asked_for(toy_suite: str, controller: type) -> None:
    shown: set[tuple[int, ...]] = set()

    class Spectator(controller):
        def act(self, observations: Sequence[Observation | None]) -> list[np.ndarray | None]:
            shown.update(seen["top_image"].shape for seen in observations if seen is not None)
            return super().act(observations)

    settings = {"episodes": 1, "seed": 0, "workers": 1, "condition": "one_hot", "checkpoint": "none"}
    image = FeatureSpec("top_image", (6, 6, 3), "uint8", "image", CameraView("top", 6))
    spec = DatasetSpec((Task("near"),), (image,), FeatureSpec("actions", (2,), "float32", "action"), {"actions": (2,)})
    evaluate(Spectator(slots=2), simulator=toy_suite, descriptors={"near": [GO]}, tasks=["near"], spec=spec, **settings)
    assert shown == {(6, 6, 3)}


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


@pytest.mark.parametrize(
    ("task", "message"), [("broken", "broken: ZeroDivisionError"), ("fatal", "fatal: episode 0 .* died")]
)
def test_failing_environments_end_the_evaluation(run: Callable[..., EvaluationResult], task: str, message: str) -> None:
    with pytest.raises(SimulatorError, match=message):
        run({"near": [GO], task: [GO]}, workers=2)


def test_what_is_known_is_not_run_again(toy_suite: str, controller: type) -> None:
    trials = trials_of(["near", "far"], {"near": [GO, STAY], "far": [FAST]}, episodes=range(4), seed=0)

    def outcomes(known: Sequence[Outcome]) -> tuple[list[Outcome], list[Outcome]]:
        new: list[Outcome] = []
        actor = controller(slots=4)
        found = run_trials(actor, trials, simulator=toy_suite, workers=1, known=known, progress=new.append)
        return found, new

    everything, new = outcomes([])
    assert sorted(new, key=everything.index) == everything
    again, rest = outcomes([everything[6], everything[1]])
    assert again == everything
    assert set(rest) == set(everything) - {everything[6], everything[1]}
    assert outcomes(everything) == (everything, [])
