import pytest

from mtil.errors import ConfigError, SimulatorError
from mtil.evaluation.metrics import EvaluationResult
from mtil.evaluation.settings import EvaluationSettings, Replay


def test_the_settings_of_a_result_are_those_that_gave_it(result: EvaluationResult) -> None:
    assert EvaluationSettings.of(result) == EvaluationSettings(
        suite="toy", episodes=2, seed=3, tasks=("stick-pull", "handle-press-side"), condition="language"
    )


def test_the_episode_to_replay_is_read() -> None:
    assert Replay.read("7") == Replay(7)
    assert Replay.read("near:0") == Replay(0, "near")
    assert Replay.read("in:out:12") == Replay(12, "in:out")
    assert Replay(7).of(["near", "far"]) == ["near", "far"]
    assert Replay(7, "far").of(["near", "far"]) == ["far"]


@pytest.mark.parametrize("text", ["", "near", "near:", "-1", "1.5", "near:²"])
def test_what_is_no_episode(text: str) -> None:
    with pytest.raises(ConfigError, match=rf"replay '{text}': expected the number of an episode, or TASK:NUMBER"):
        Replay.read(text)


def test_a_task_that_is_not_evaluated() -> None:
    with pytest.raises(SimulatorError, match=r"replay: unknown task 'nera'; did you mean 'near'.* valid: near, far"):
        Replay(0, "nera").of(["near", "far"])
