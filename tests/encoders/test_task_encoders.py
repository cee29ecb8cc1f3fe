"""What every task encoder must be, whatever it encodes."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mtil.encoders.base import TaskEncoder
from mtil.encoders.config import GoalConfig, VideoConfig
from mtil.encoders.goal import GoalEncoder
from mtil.encoders.language import LanguageEncoder
from mtil.encoders.one_hot import OneHotEncoder
from mtil.encoders.unconditional import UnconditionalEncoder
from mtil.encoders.video import VideoEncoder
from mtil.types import FeatureSpec

WIDTH = 6
NAMES = ("drawer-open", "drawer-close", "reach")
BACKBONE = {"kind": "cnn", "channels": (16, 32), "keypoints": 4, "film": False}
SENTENCES = ("open the drawer", "close the drawer", "reach out")


@dataclass(frozen=True)
class Case:
    """An encoder, descriptors that it takes, one a task, and whether it is to tell them apart."""

    make: Callable[[], TaskEncoder]
    descriptors: Sequence[Any]
    tells: bool = True


def language() -> TaskEncoder:
    embeddings = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    return LanguageEncoder(
        "no model is needed", SENTENCES, known=dict(zip(SENTENCES, embeddings, strict=True)), width=WIDTH, hidden=8
    )


def video() -> TaskEncoder:
    config = VideoConfig.model_validate({"width": WIDTH, "frames": 3, "features": 8, "heads": 2, "backbone": BACKBONE})
    return VideoEncoder(config, FeatureSpec("camera", (16, 20, 3), "uint8", "image"))


CLIPS = list(np.random.default_rng(0).integers(256, size=(3, 3, 16, 20, 3), dtype=np.uint8))

STATES = (FeatureSpec("hand", (2,), "float32", "state"), FeatureSpec("objects", (3,), "float32", "state"))
GOALS = list(np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32))
GOALS[1][4] = np.nan  # that task has a dimension less
PICTURES = [np.zeros((16, 20, 3), np.uint8) for _ in NAMES]
for place, picture in enumerate(PICTURES):
    picture[4 * place : 4 * place + 8, 6 * place : 6 * place + 6, place] = 255


def goal(*space: FeatureSpec) -> TaskEncoder:
    config = GoalConfig.model_validate({"width": WIDTH, "hidden": 8, "backbone": BACKBONE})
    return GoalEncoder(config, space)


def goal_image() -> TaskEncoder:
    return goal(FeatureSpec("camera", (16, 20, 3), "uint8", "image"))


CASES = {
    "one_hot": Case(lambda: OneHotEncoder(NAMES, width=WIDTH), NAMES),
    "language": Case(language, SENTENCES),
    "video": Case(video, CLIPS),
    "goal": Case(lambda: goal(*STATES), GOALS),
    "goal image": Case(goal_image, PICTURES),
    "none": Case(lambda: UnconditionalEncoder(width=WIDTH), NAMES, tells=False),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    torch.manual_seed(0)
    return CASES[request.param]


def embed(encoder: TaskEncoder, descriptors: Sequence[Any]) -> Tensor:
    return encoder(encoder.prepare(descriptors))


def test_gives_one_vector_of_its_width_for_each_descriptor(case: Case) -> None:
    encoder = case.make()
    z = embed(encoder, [*case.descriptors, case.descriptors[0]])
    assert encoder.width == WIDTH
    assert z.shape == (4, WIDTH)
    assert z.dtype == torch.float32
    assert z.isfinite().all()


def test_is_deterministic(case: Case) -> None:
    encoder = case.make()
    assert torch.equal(embed(encoder, case.descriptors), embed(encoder, case.descriptors))


def test_tells_tasks_apart_or_not_at_all(case: Case) -> None:
    distances = torch.pdist(embed(case.make(), case.descriptors))
    assert distances.min() > 0.02 if case.tells else not distances.any()


def test_order_of_the_batch_is_order_of_the_embeddings(case: Case) -> None:
    encoder, order = case.make(), [2, 0, 1, 0]
    expected = embed(encoder, case.descriptors)[order]
    torch.testing.assert_close(embed(encoder, [case.descriptors[i] for i in order]), expected)


def test_company_does_not_matter(case: Case) -> None:
    encoder = case.make()
    together = embed(encoder, case.descriptors)
    for row, descriptor in enumerate(case.descriptors):
        torch.testing.assert_close(embed(encoder, [descriptor])[0], together[row])


def test_prepared_descriptors_can_be_gathered(case: Case) -> None:
    """Training prepares all descriptors once, and looks up those of a batch."""
    encoder = case.make()
    rows = [1, 1, 2]
    prepared = encoder.prepare(case.descriptors)
    torch.testing.assert_close(encoder(prepared[rows]), embed(encoder, [case.descriptors[i] for i in rows]))


def test_every_parameter_learns(case: Case) -> None:
    encoder = case.make()
    z = embed(encoder, case.descriptors)
    (z * torch.randn_like(z)).sum().backward()
    parameters = dict(encoder.named_parameters())
    assert parameters
    for name, parameter in parameters.items():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_preparation_is_not_trained(case: Case) -> None:
    assert not case.make().prepare(case.descriptors).requires_grad


def test_state_is_complete(case: Case) -> None:
    encoder, other = case.make(), case.make()
    assert not torch.equal(embed(other, case.descriptors), embed(encoder, case.descriptors))
    other.load_state_dict(encoder.state_dict())
    assert torch.equal(embed(other, case.descriptors), embed(encoder, case.descriptors))


def test_moves_to_another_precision(case: Case) -> None:
    encoder = case.make()
    exact = copy.deepcopy(encoder).double()
    z = embed(exact, case.descriptors)
    assert z.dtype == torch.float64
    torch.testing.assert_close(z.float(), embed(encoder, case.descriptors))


def test_moves_to_another_device(case: Case) -> None:
    if case.make in (video, goal_image):
        pytest.skip("keypoints are found without autocast, which the meta device does not know")
    encoder = case.make().to("meta")
    assert encoder(encoder.prepare(case.descriptors).to("meta")).device.type == "meta"
