from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch
from torch import Tensor

from mtil.data.batch import Batch


@pytest.fixture
def batch() -> Batch:
    return Batch(
        observations={"proprio": torch.randn(3, 2, 4), "objects": torch.randn(3, 2, 1)},
        observation_mask={"proprio": torch.ones(3, 4).bool(), "objects": torch.ones(3, 1).bool()},
        history_mask=torch.ones(3, 2).bool(),
        actions=torch.randn(3, 5, 2),
        action_mask=torch.ones(3, 5, 2).bool(),
        task=torch.arange(3),
        weight=torch.ones(3),
        descriptors={"language": torch.arange(3)},
        condition=torch.zeros(3, dtype=torch.long),
        clips=torch.zeros(2, 4, 6, 8, 3, dtype=torch.uint8),
        goals=torch.randn(3, 5),
    )


def tensors(batch: Batch) -> list[Tensor]:
    values = [getattr(batch, field.name) for field in fields(batch)]
    return [tensor for value in values for tensor in (value.values() if isinstance(value, dict) else [value])]


def test_every_tensor_moves(batch: Batch) -> None:
    moved = batch.to("meta")
    assert len(tensors(moved)) == 13
    assert all(tensor.device.type == "meta" for tensor in tensors(moved))
    assert [tensor.shape for tensor in tensors(moved)] == [tensor.shape for tensor in tensors(batch)]
    assert all(tensor.device.type == "cpu" for tensor in tensors(batch))


def test_moving_to_where_it_is_changes_nothing(batch: Batch) -> None:
    pairs = zip(tensors(batch.to(torch.device("cpu"), non_blocking=True)), tensors(batch), strict=True)
    assert all(moved.equal(tensor) for moved, tensor in pairs)


def test_length_is_the_number_of_examples(batch: Batch) -> None:
    assert len(batch) == 3


def test_it_is_frozen(batch: Batch) -> None:
    with pytest.raises(FrozenInstanceError):
        batch.task = torch.zeros(3)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_batch_without_clips_and_goals_moves_too(batch: Batch) -> None:
    moved = replace(batch, clips=None, goals=None).to("meta")
    assert moved.clips is None
    assert moved.goals is None
