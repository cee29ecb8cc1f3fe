from pathlib import Path

import pytest
import torch

from mtil.errors import CheckpointError, ConfigError, SimulatorError
from mtil.evaluation.conditioning import common_tasks, descriptors, read_instructions
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.sim.base import Simulator, load
from mtil.types import DatasetSpec, FeatureSpec, Task

TASKS = (Task("far", ("go far", "go far away")), Task("mute"), Task("near", ("stay near",)))


def policy_for(*tasks: Task, kind: str) -> Policy:
    action = FeatureSpec("actions", (2,), "float32", "action")
    state = FeatureSpec("position", (2,), "float32", "state")
    widths = {feature.key: (2,) * len(tasks) for feature in (state, action)}
    torch.manual_seed(0)
    encoder = {"kind": kind, "width": 4} | ({"model": "/nowhere"} if kind == "language" else {})
    embeddings = torch.randn(sum(len(task.instructions) for task in tasks), 6)
    config = PolicyConfig.model_validate({"task_encoder": encoder, "trunk": {"width": 8, "depth": 1}})
    return Policy(
        config,
        DatasetSpec(tasks, (state,), action, widths),
        state={"task_encoders._encoders.language.embeddings": embeddings},
    )


@pytest.fixture
def one_hot() -> Policy:
    return policy_for(*TASKS, kind="one_hot")


@pytest.fixture
def language() -> Policy:
    return policy_for(TASKS[0], TASKS[2], kind="language")


@pytest.fixture
def suite(toy_suite: str) -> Simulator:
    return load(toy_suite)


def test_all_tasks_in_common_in_the_suites_order(one_hot: Policy, suite: Simulator) -> None:
    assert common_tasks(one_hot, suite, None, "one_hot") == ["near", "far"]
    assert common_tasks(one_hot, suite, ["far"], "one_hot") == ["far"]
    assert common_tasks(one_hot, suite, ["far", "near"], "one_hot") == ["near", "far"]


def test_tasks_that_it_was_not_trained_on(language: Policy, suite: Simulator) -> None:
    assert common_tasks(language, suite, ["impossible", "far"], "language") == ["far", "impossible"]
    assert common_tasks(language, suite, None, "language") == ["near", "far"]


def test_tasks_that_do_not_fit(one_hot: Policy, suite: Simulator) -> None:
    with pytest.raises(SimulatorError, match="toy: unknown task 'nera'; did you mean 'near'"):
        common_tasks(one_hot, suite, ["nera"], "one_hot")
    with pytest.raises(CheckpointError, match=r"was not trained on 'impossible'; .*valid: far, mute, near"):
        common_tasks(one_hot, suite, ["near", "impossible"], "one_hot")
    with pytest.raises(SimulatorError, match=r"toy: none of the policy's tasks \(mute\) is in this suite"):
        common_tasks(policy_for(TASKS[1], kind="one_hot"), suite, None, "one_hot")


def test_a_name_tells_a_task_once(one_hot: Policy) -> None:
    found = descriptors(one_hot, "one_hot", ["near", "mute"])
    assert {task: len(z) for task, z in found.items()} == {"near": 1, "mute": 1}
    assert torch.equal(found["near"][0].z, one_hot.embed("one_hot", ["near"])[0])
    assert not found["near"][0].z.requires_grad


def test_a_policy_that_is_not_told_its_task() -> None:
    policy = policy_for(*TASKS, kind="none")
    found = descriptors(policy, "none", ["near", "mute"])
    assert [each.words for told in found.values() for each in told] == ["", ""]
    assert torch.equal(found["near"][0].z, found["mute"][0].z)


def test_every_sentence_tells_its_task(language: Policy) -> None:
    found = descriptors(language, "language", ["far", "near"])
    assert [each.words for each in found["far"]] == ["go far", "go far away"]
    assert {task: len(z) for task, z in found.items()} == {"far": 2, "near": 1}
    torch.testing.assert_close(
        torch.stack([each.z for each in found["far"]]), language.embed("language", ["go far", "go far away"])
    )


def test_other_sentences_replace_those_of_training(language: Policy) -> None:
    found = descriptors(language, "language", ["near"], instructions={"near": ["go far", "stay near"]})
    torch.testing.assert_close(
        torch.stack([each.z for each in found["near"]]), language.embed("language", ["go far", "stay near"])
    )


def test_conditions_that_do_not_fit(one_hot: Policy, language: Policy) -> None:
    with pytest.raises(CheckpointError, match="unknown condition for this policy 'language'; valid: one_hot"):
        descriptors(one_hot, "language", ["near"])
    with pytest.raises(ConfigError, match="instructions are given, but the policy is conditioned on one_hot"):
        descriptors(one_hot, "one_hot", ["near"], instructions={"near": ["x"]})
    with pytest.raises(ConfigError, match="no instructions for task 'near'; found some for: far"):
        descriptors(language, "language", ["near"], instructions={"far": ["x"]})


def test_instructions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "instructions.yaml"
    path.write_text("near:\n  - come here\n  - 'stay: near'\nfar: [go]\n")
    assert read_instructions(path) == {"near": ["come here", "stay: near"], "far": ["go"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "expected {task: .*}, found NoneType"),
        ("- near\n", "expected {task: .*}, found list"),
        ("near: come here\n", "task 'near': expected a list of sentences, found 'come here'"),
        ("near: []\n", r"task 'near': expected a list of sentences, found \[\]"),
        ("near: ['  ']\n", "task 'near': expected a list of sentences"),
        ("near: [1]\n", "task 'near': expected a list of sentences"),
        ("1: [come]\n", "expected names of tasks, found 1"),
        ("near: [come\n", "not valid YAML"),
        ("near: \x00\n", "not valid YAML"),
    ],
)
def test_instructions_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "instructions.yaml"
    path.write_text(content)
    with pytest.raises(ConfigError, match=rf"instructions\.yaml: {message}") as caught:
        read_instructions(path)
    assert "\n" not in str(caught.value)


def test_instructions_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"x\.yaml: cannot be read: No such file"):
        read_instructions(tmp_path / "x.yaml")
    (tmp_path / "x.yaml").write_bytes(b"near: [\xff]")
    with pytest.raises(ConfigError, match=r"x\.yaml: not UTF-8 text"):
        read_instructions(tmp_path / "x.yaml")
