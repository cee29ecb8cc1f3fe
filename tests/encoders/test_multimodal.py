import pytest
import torch
from pydantic import ValidationError

from mtil.encoders.config import (
    LanguageConfig,
    MultimodalConfig,
    OneHotConfig,
    UnconditionalConfig,
    VideoConfig,
    encoder_parts,
    kind_weights,
)
from mtil.encoders.multimodal import TaskEncoders
from mtil.encoders.one_hot import OneHotEncoder
from mtil.encoders.unconditional import UnconditionalEncoder
from mtil.encoders.video import VideoEncoder
from mtil.types import FeatureSpec

NAMES = ("open", "close", "lift")
WIDTH = 6


def video_encoder(*, width: int) -> VideoEncoder:
    """Of clips of two frames of 16 x 16 pixels."""
    backbone = {"kind": "cnn", "channels": (16,), "keypoints": 4, "film": False}
    config = VideoConfig.model_validate({"width": width, "frames": 2, "features": 8, "heads": 2, "backbone": backbone})
    return VideoEncoder(config, FeatureSpec("camera", (16, 16, 3), "uint8", "image"))


@pytest.fixture
def encoders() -> TaskEncoders:
    torch.manual_seed(0)
    return TaskEncoders([OneHotEncoder(NAMES, width=WIDTH), UnconditionalEncoder(width=WIDTH)])


def test_each_example_is_encoded_by_the_encoder_of_its_kind(encoders: TaskEncoders) -> None:
    assert encoders.kinds == ("one_hot", "none")
    prepared = {"one_hot": torch.tensor([0, 1, 2]), "none": torch.zeros(1, dtype=torch.long)}
    rows = {"one_hot": torch.tensor([2, -1, 0, 99]), "none": torch.tensor([-1, 0, 99, 0])}
    z = encoders(prepared, rows, torch.tensor([0, 1, 0, 1]))
    by_name, untold = (encoders[kind](prepared[kind]) for kind in encoders.kinds)
    assert z.shape == (4, encoders.width)
    torch.testing.assert_close(z, torch.stack([by_name[2], untold[0], by_name[0], untold[0]]))


def test_a_clip_that_many_examples_share_is_encoded_once() -> None:
    torch.manual_seed(0)
    encoders = TaskEncoders([OneHotEncoder(NAMES, width=WIDTH), video_encoder(width=WIDTH)])
    seen: list[int] = []
    encoders["video"].register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    clips = torch.randint(256, (5, 2, 16, 16, 3), dtype=torch.uint8)
    rows = torch.tensor([4, 1, 4, 4, 0])
    prepared = {"one_hot": torch.tensor([0, 1, 2]), "video": clips}
    z = encoders(prepared, {"one_hot": torch.tensor([0, 0, 0, 0, 2]), "video": rows}, torch.tensor([1, 1, 1, 1, 0]))
    assert seen == [2]
    torch.testing.assert_close(z[:4], encoders["video"](clips)[[4, 1, 4, 4]])


def test_an_encoder_without_examples_has_a_gradient_of_zero() -> None:
    """Ranks must agree on which parameters have one."""
    encoders = TaskEncoders([OneHotEncoder(NAMES, width=WIDTH), video_encoder(width=WIDTH)])
    prepared = {"one_hot": torch.arange(3), "video": torch.zeros(0, 2, 16, 16, 3, dtype=torch.uint8)}
    rows = {"one_hot": torch.tensor([2, 0]), "video": torch.tensor([-1, -1])}
    encoders(prepared, rows, torch.tensor([0, 0])).square().sum().backward()
    for name, parameter in encoders["video"].named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in encoders["one_hot"].parameters())


def test_a_single_encoder_needs_no_condition() -> None:
    one = OneHotEncoder(NAMES, width=WIDTH)
    rows = torch.tensor([1, 1, 0])
    prepared, none = {"one_hot": torch.arange(3)}, torch.zeros(3, dtype=torch.long)
    assert torch.equal(TaskEncoders([one])(prepared, {"one_hot": rows}, none), one(rows))


def test_parts_and_weights_of_a_configuration() -> None:
    language = LanguageConfig(width=8)
    several = MultimodalConfig(language=language, one_hot=OneHotConfig(width=8), weights={"language": 3})
    assert encoder_parts(several) == {"one_hot": OneHotConfig(width=8), "language": language}
    assert kind_weights(several) == {"one_hot": 1, "language": 3}
    assert encoder_parts(language) == {"language": language}
    assert kind_weights(UnconditionalConfig()) == {"none": 1}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"one_hot": {}}, "expected two or more of one_hot, language, video, goal; found one_hot"),
        (
            {"one_hot": {"width": 8}, "language": {"width": 9}},
            "expected the same width for all kinds, found one_hot 8, language 9",
        ),
        (
            {"one_hot": {}, "language": {}, "weights": {"none": 1}},
            r"weights: none is none of this policy's kinds \(one_hot, language\)",
        ),
        ({"one_hot": {}, "language": {}, "weights": {"one_hot": 0}}, "greater than 0"),
        (
            {"one_hot": {}, "language": {}, "weights": {"one-hot": 1}},
            "Input should be 'one_hot', 'language', 'video', 'goal' or 'none'",
        ),
    ],
)
def test_configurations_that_do_not_work(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MultimodalConfig.model_validate(values)
