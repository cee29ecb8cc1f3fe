from pathlib import Path

import pytest
import torch

from mtil.evaluation.digest import evaluation_digest, weights_digest
from mtil.evaluation.preparation import prepare
from mtil.evaluation.settings import EvaluationSettings
from mtil.policies.policy import Policy


def test_the_protocol_is_settled_beforehand(run_directory: Path, apprentice: Policy) -> None:
    prepared = prepare(run_directory, EvaluationSettings(episodes=3, seed=5, control="absent"))
    protocol = prepared.protocol
    assert prepared.run == run_directory
    assert (protocol.suite, protocol.condition, protocol.control) == ("toy", "one_hot", "absent")
    assert (protocol.seed, protocol.episodes_per_task, protocol.step) == (5, 3, 12)
    assert protocol.weights == weights_digest(apprentice)
    assert protocol.path == str(run_directory / "checkpoints" / "last.ckpt")
    assert protocol.checkpoint == f"{protocol.path} (step 12, averaged weights)"
    assert [(trial.task, trial.episode) for trial in prepared.trials()] == [
        (t, j) for t in ("near", "far") for j in range(3)
    ]


def test_a_checkpoint_elsewhere_is_in_no_run(checkpoint: Path) -> None:
    assert prepare(checkpoint, EvaluationSettings()).run is None


@pytest.mark.parametrize("threads", [1, 2])
def test_an_episode_is_the_same_whatever_else_is_evaluated(checkpoint: Path, threads: int) -> None:
    torch.set_num_threads(threads)
    whole = prepare(checkpoint, EvaluationSettings(episodes=9))
    alone = prepare(checkpoint, EvaluationSettings(episodes=1, tasks=("far",)))
    assert evaluation_digest(whole.protocol, whole.trials([7], tasks=["far"])) == evaluation_digest(
        alone.protocol, alone.trials([7])
    )
