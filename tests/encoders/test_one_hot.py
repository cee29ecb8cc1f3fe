import pytest
import torch

from mtil.encoders.one_hot import OneHotEncoder
from mtil.errors import EncoderError
from mtil.types import DatasetSpec, FeatureSpec, Task


def test_is_a_one_hot_vector_times_a_matrix() -> None:
    encoder = OneHotEncoder(["reach", "push", "pull"], width=4)
    one_hot = torch.eye(3)[[2, 0]]
    torch.testing.assert_close(encoder(encoder.prepare(["pull", "reach"])), one_hot @ encoder.embedding.weight)


def test_unknown_task() -> None:
    encoder = OneHotEncoder(["reach", "push"], width=4)
    with pytest.raises(EncoderError, match="unknown task 'reahc'; did you mean 'reach'"):
        encoder.prepare(["push", "reahc"])


def test_rows_are_inherited_by_name() -> None:
    before, now = (OneHotEncoder(tasks, width=3) for tasks in (["push", "pull"], ["lift", "pull", "push"]))
    own = now.embedding.weight.clone()
    spec = DatasetSpec((Task("push"), Task("pull")), (), FeatureSpec("actions", (1,), "float32", "action"), {})
    now.load_state_dict(now.inherit(before.state_dict(), spec))
    assert torch.equal(now.embedding.weight[[2, 1]], before.embedding.weight)
    assert torch.equal(now.embedding.weight[0], own[0])
