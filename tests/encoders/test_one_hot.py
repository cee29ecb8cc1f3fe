import pytest
import torch

from mtil.encoders.one_hot import OneHotEncoder
from mtil.errors import EncoderError


def test_is_a_one_hot_vector_times_a_matrix() -> None:
    encoder = OneHotEncoder(["reach", "push", "pull"], width=4)
    one_hot = torch.eye(3)[[2, 0]]
    torch.testing.assert_close(encoder(encoder.prepare(["pull", "reach"])), one_hot @ encoder.embedding.weight)


def test_unknown_task() -> None:
    encoder = OneHotEncoder(["reach", "push"], width=4)
    with pytest.raises(EncoderError, match="unknown task 'reahc'; did you mean 'reach'"):
        encoder.prepare(["push", "reahc"])
