"""What tells a served policy its tasks: names, words, goals and clips."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mtil.errors import CheckpointError, EncoderError, MtilError, ServingError
from mtil.policies.config import PolicyConfig
from mtil.policies.policy import Policy
from mtil.serving.contract import Contract
from mtil.serving.protocol import Reset, array_type
from mtil.types import CameraView, DatasetSpec, Embodiment, FeatureSpec, Task

SPACE = (FeatureSpec("proprio", (3,), "float32", "state"), FeatureSpec("goal", (2,), "float32", "state"))
IMAGE = FeatureSpec("top_image", (32, 32, 3), "uint8", "image")
GOAL = {"kind": "goal", "width": 8, "hidden": 8}


def reset(**values: Any) -> Reset:
    return Reset(do="reset", **values)


def taking_goals(*, narrow: int = 2, goal: tuple[FeatureSpec, ...] = SPACE) -> Policy:
    """A policy for a narrow and a wide task, whose goals are states or an image."""
    spec = DatasetSpec(
        tasks=(Task("narrow"), Task("wide", ("stir the pot",))),
        observations=SPACE,
        action=FeatureSpec("actions", (2,), "float32", "action"),
        widths={"proprio": (narrow, 3), "goal": (2, 2), "actions": (2, 2)},
        goal=goal,
    )
    config = {"task_encoder": {"kind": "multimodal", "one_hot": {"width": 8}, "goal": GOAL}}
    torch.manual_seed(0)
    return Policy(PolicyConfig.model_validate(config), spec).eval()


def test_a_greeting_tells_all_that_a_client_needs(policy: Policy) -> None:
    assert Contract(policy).greeting() == {
        "protocol": "mtil",
        "version": 1,
        "tasks": ["narrow", "wide"],
        "kinds": ("one_hot", "language"),
        "observations": {
            "proprio": {"dtype": "<f4", "shape": (3,)},
            "front_image": {"dtype": "|u1", "shape": (16, 16, 3)},
        },
        "shown": {},
        "actions": 2,
        "chunk": 3,
        "history": 2,
    }


def test_an_episode_has_the_size_of_its_task(policy: Policy) -> None:
    narrow = Contract(policy).episode(reset(task="narrow"))
    assert narrow["observations"]["proprio"] == {"dtype": "<f4", "shape": (2,)}
    assert (narrow["kind"], narrow["actions"]) == ("language", 1)


@pytest.mark.parametrize(
    ("asked", "kind", "words"),
    [
        ({"task": "wide"}, "language", "stir the pot"),
        ({"task": "wide", "words": "stir it"}, "language", "stir it"),
        ({"task": "narrow", "words": "stir it"}, "language", "stir it"),
        ({"task": "wide", "kind": "one_hot"}, "one_hot", "wide"),
    ],
)
def test_what_the_policy_is_told(policy: Policy, asked: dict[str, str], kind: str, words: str) -> None:
    contract = Contract(policy)
    assert contract.descriptor(reset(**asked)) == {}
    assert torch.equal(contract.z(reset(**asked), {}), policy.embed(kind, [words])[0])


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ({}, ServingError, "task: expected a name, since tasks differ in size or dataset; valid: narrow, wide"),
        ({"task": "wid"}, ServingError, "unknown task 'wid'; did you mean 'wide'"),
        ({"task": "wide", "kind": "goal"}, CheckpointError, "unknown condition for this policy 'goal'; valid: one_hot"),
        ({"task": "wide", "kind": "one_hot", "words": "go"}, ServingError, "words: expected none, .*, found 'go'"),
    ],
)  # fmt: skip
def test_what_does_not_tell_it(policy: Policy, asked: dict[str, str], error: type[MtilError], message: str) -> None:
    with pytest.raises(error, match=message):
        Contract(policy).descriptor(reset(**asked))


def test_without_a_name_there_must_be_something_else() -> None:
    """Tasks of one size need none."""
    contract = Contract(taking_goals(narrow=3))
    assert contract.descriptor(reset()) == {}
    with pytest.raises(ServingError, match="task: expected a name, since nothing else tells the task; valid: narrow"):
        contract.z(reset(), {})
    goal = {"goal": array_type("float32", (5,))}
    assert contract.descriptor(reset(arrays=goal)) == goal


def test_a_task_that_nothing_was_said_of(policy: Policy) -> None:
    mute = Policy(
        policy.config,
        replace(policy.spec, tasks=(Task("narrow"), policy.spec.tasks[1])),
        state=policy.state_dict(),
        before=policy.spec,
    )
    with pytest.raises(ServingError, match="words: expected a sentence, since the policy was taught none for 'narrow'"):
        Contract(mute).z(reset(task="narrow"), {})


def test_goals_are_as_large_as_their_task() -> None:
    policy = taking_goals()
    contract, goal = Contract(policy), np.array([1, 2, 3, 4], np.float32)
    asked = reset(task="narrow", arrays={"goal": array_type("float32", (4,))})
    assert contract.descriptor(asked) == {"goal": array_type("float32", (4,))}
    assert contract.descriptor(reset(task="wide", kind="goal")) == {"goal": array_type("float32", (5,))}
    expected = policy.embed("goal", [np.array([1, 2, np.nan, 3, 4], np.float32)])[0]
    assert torch.equal(contract.z(asked, {"goal": goal}), expected)
    assert contract.largest_body == 5 * 4


def test_goals_may_be_images() -> None:
    policy = taking_goals(goal=(IMAGE,))
    contract, image = Contract(policy), np.random.default_rng(0).integers(0, 256, IMAGE.shape, np.uint8)
    assert contract.greeting()["shown"] == {"goal": {"dtype": "|u1", "shape": (32, 32, 3)}}
    asked = reset(task="narrow", arrays=contract.shown)
    assert contract.descriptor(asked) == contract.shown
    assert torch.equal(contract.z(asked, {"goal": image}), policy.embed("goal", [image])[0])
    assert contract.largest_body == image.nbytes


def test_scaled_images_come_as_their_camera_takes_them() -> None:
    """Where it is known, of each dataset; a policy of the same images that were not scaled takes no others."""
    spec = taking_goals(narrow=3).spec
    image = replace(IMAGE, scaled=True)
    one = Embodiment("one", ("narrow",), {"top_image": "top_image"}, (CameraView("top", 48),))
    other = Embodiment("other", ("wide",), {"top_image": "my_image"})
    config = PolicyConfig.model_validate({"task_encoder": {"kind": "one_hot", "width": 8}})
    several = replace(spec, observations=(image,), embodiments=(one, other))
    contract = Contract(Policy(config, several))
    assert contract.observations(reset(task="narrow")) == {"top_image": array_type("uint8", (48, 48, 3))}
    assert contract.observations(reset(task="wide")) == {"my_image": array_type("uint8", (32, 32, 3))}
    assert contract.largest_body == 48 * 48 * 3
    for scaled, size in ((True, 64), (False, 32)):
        taken = replace(IMAGE, scaled=scaled, camera=CameraView("top", size))
        contract = Contract(Policy(config, replace(spec, observations=(taken,))))
        assert contract.observations(reset(task="wide")) == {"top_image": array_type("uint8", (size, size, 3))}


def test_clips_may_show_a_task() -> None:
    policy = taking_goals()
    video = {
        "width": 8,
        "frames": 2,
        "features": 8,
        "heads": 2,
        "backbone": {"kind": "cnn", "channels": [16], "film": False},
    }
    config = PolicyConfig.model_validate({"task_encoder": {"kind": "video", **video}})
    clip = replace(IMAGE, key="clip", camera=None)
    contract = Contract(Policy(config, replace(policy.spec, clip=clip)).eval())
    frames = np.random.default_rng(0).integers(0, 256, (2, *IMAGE.shape), np.uint8)
    asked = reset(task="narrow", arrays={"video": array_type("uint8", frames.shape)})
    assert contract.descriptor(asked) == asked.arrays
    with torch.inference_mode():
        expected = contract._policy.embed("video", [frames])[0]
    assert torch.equal(contract.z(asked, {"video": frames}), expected)


def test_a_goal_over_a_socket(serve: Any) -> None:
    policy = taking_goals()
    goal = [0.1, 0.2, 0.3, 0.4]
    with serve(policy) as served, served.client() as client:
        client.reset("narrow", goal=goal)
        found = client.act(served.see("narrow"))
        client.reset("narrow", goal=[1.0, 1.0, 1.0, 1.0])
        assert not np.array_equal(client.act(served.see("narrow")), found)
        with pytest.raises(RuntimeError, match=r"goal: expected <f4 \[4\], found <f4 \[5\]"):
            client.reset("narrow", goal=[*goal, 0.5])
        with pytest.raises(RuntimeError, match=r"goal: entry \[3\] is NaN or infinite"):
            client.reset("narrow", goal=[*goal[:3], np.nan])


def test_others_act_while_words_are_read(policy: Policy, monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    """A language model may have to be loaded first."""
    asked, read = threading.Event(), threading.Event()

    def slow(model: str, sentences: list[str]) -> torch.Tensor:
        asked.set()
        read.wait()
        return torch.ones(len(sentences), 6)

    monkeypatch.setattr("mtil.encoders.language.embed_sentences", slow)
    with serve(policy) as served, served.client() as client, served.client() as other, ThreadPoolExecutor(1) as thread:
        observation = served.see("wide")
        other.reset("wide", words="stir it")
        waiting = thread.submit(client.reset, "wide", words="stir the tea")
        asked.wait()
        other.act(observation)
        read.set()
        waiting.result()
        expected = served.actor("wide", told=("language", "stir the tea")).act([observation])[0]
        assert np.array_equal(client.act(observation), expected)


def test_a_language_model_that_is_not_there(policy: Policy, monkeypatch: pytest.MonkeyPatch, serve: Any) -> None:
    def missing(*_: object) -> torch.Tensor:
        raise EncoderError("all-MiniLM-L6-v2: not here")

    monkeypatch.setattr("mtil.encoders.language.embed_sentences", missing)
    with serve(policy) as served, served.client() as client:
        with pytest.raises(RuntimeError, match="all-MiniLM-L6-v2: not here"):
            client.reset("wide", words="stir the tea")
        client.reset("wide", words="stir it")
