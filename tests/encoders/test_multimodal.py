import pytest
import torch
from pydantic import ValidationError

from mtil.encoders.config import (
    LanguageConfig,
    MultimodalConfig,
    OneHotConfig,
    UnconditionalConfig,
    encoder_parts,
    kind_weights,
)
from mtil.encoders.multimodal import TaskEncoders
from mtil.encoders.one_hot import OneHotEncoder
from mtil.encoders.unconditional import UnconditionalEncoder

NAMES = ("open", "close", "lift")
WIDTH = 6


@pytest.fixture
def encoders() -> TaskEncoders:
    torch.manual_seed(0)
    return TaskEncoders([OneHotEncoder(NAMES, width=WIDTH), UnconditionalEncoder(width=WIDTH)])


def test_each_example_is_encoded_by_the_encoder_of_its_kind(encoders: TaskEncoders) -> None:
    assert encoders.kinds == ("one_hot", "none")
    prepared = {"one_hot": torch.tensor([0, 1, 2, 0]), "none": torch.zeros(4, dtype=torch.long)}
    z = encoders(prepared, torch.tensor([0, 1, 0, 1]))
    by_name, untold = (encoders[kind](prepared[kind]) for kind in encoders.kinds)
    assert z.shape == (4, encoders.width)
    torch.testing.assert_close(z, torch.stack([by_name[0], untold[1], by_name[2], untold[3]]))


def test_what_is_prepared_of_another_kind_is_not_read(encoders: TaskEncoders) -> None:
    prepared = {"one_hot": torch.tensor([2, 99]), "none": torch.tensor([99, 0])}
    assert encoders(prepared, torch.tensor([0, 1])).isfinite().all()


def test_an_encoder_without_examples_has_a_gradient_of_zero(encoders: TaskEncoders) -> None:
    """Ranks must agree on which parameters have one."""
    prepared = {"one_hot": torch.tensor([2, 0]), "none": torch.tensor([0, 0])}
    encoders(prepared, torch.tensor([0, 0])).sum().backward()
    idle = next(encoders["none"].parameters())
    assert idle.grad is not None
    assert not idle.grad.any()


def test_a_single_encoder_needs_no_condition() -> None:
    one = OneHotEncoder(NAMES, width=WIDTH)
    rows = torch.tensor([1, 1, 0])
    assert torch.equal(TaskEncoders([one])({"one_hot": rows}, torch.zeros(3, dtype=torch.long)), one(rows))


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
        ({"one_hot": {}}, "expected two kinds or more, found one_hot; valid: one_hot, language"),
        (
            {"one_hot": {"width": 8}, "language": {"width": 9}},
            "expected the same width for all kinds, found one_hot 8, language 9",
        ),
        (
            {"one_hot": {}, "language": {}, "weights": {"none": 1}},
            r"weights: none is none of this policy's kinds \(one_hot, language\)",
        ),
        ({"one_hot": {}, "language": {}, "weights": {"one_hot": 0}}, "greater than 0"),
        ({"one_hot": {}, "language": {}, "weights": {"one-hot": 1}}, "Input should be 'one_hot', 'language' or 'none'"),
    ],
)
def test_configurations_that_do_not_work(values: dict, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MultimodalConfig.model_validate(values)
