import colorsys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as reference

from mtil.data.augment import augment, recoloured, shifted
from mtil.data.batch import Batch
from mtil.data.config import AugmentationConfig, ClipsConfig, DataConfig

EXAMPLES, HISTORY, HEIGHT, WIDTH = 6, 2, 9, 12
SHIFT = AugmentationConfig(shift=2, brightness=0, contrast=0, saturation=0, hue=0)
NOTHING = SHIFT.model_copy(update={"shift": 0})


def images(seed: int = 0) -> Tensor:
    shape = (EXAMPLES, HISTORY, HEIGHT, WIDTH, 3)
    return torch.randint(256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


def batch_of(**observations: Tensor) -> Batch:
    """A batch that holds images, of whatever count and history, and a state."""
    count, history = next(iter(observations.values())).shape[:2]
    ones = torch.ones(count, dtype=torch.long)
    return Batch(
        observations={"proprio": torch.randn(count, history, 3), **observations},
        observation_mask={"proprio": torch.ones(count, 3, dtype=torch.bool)},
        history_mask=torch.ones(count, history, dtype=torch.bool),
        actions=torch.randn(count, 1, 2),
        action_mask=torch.ones(count, 1, 2, dtype=torch.bool),
        task=ones,
        weight=ones.float(),
        descriptors={},
        condition=torch.zeros_like(ones),
    )


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def colours(**changes: float) -> dict[str, Tensor]:
    """The same change for every example."""
    neutral = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
    return {name: torch.full((EXAMPLES,), value) for name, value in (neutral | changes).items()}


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, 0), (0, -3), (-1, 4)])
def test_shifts_and_repeats_the_edge(down: int, right: int) -> None:
    offsets = torch.tensor([[down], [right]]).expand(2, EXAMPLES)
    found = shifted(images(), offsets, most=4).numpy()
    padded = np.pad(images().numpy(), ((0, 0), (0, 0), (5, 5), (5, 5), (0, 0)), mode="edge")
    expected = padded[:, :, 5 - down : 5 - down + HEIGHT, 5 - right : 5 - right + WIDTH]
    np.testing.assert_array_equal(found, expected)


def test_each_example_is_shifted_by_its_own() -> None:
    offsets = torch.randint(-2, 3, (2, EXAMPLES), generator=draws())
    found = shifted(images(), offsets, most=2)
    for row in range(EXAMPLES):
        one = [part[row : row + 1] for part in (images(), offsets.T)]
        assert torch.equal(found[row : row + 1], shifted(one[0], one[1].T, most=2))


@pytest.mark.parametrize("factor", [0.5, 1.3])
def test_colours_are_those_of_torchvision(factor: float) -> None:
    """Up to its rounding, and to the grey that contrast is about: here, of the whole window."""
    rows = (images()[:, :1] / 255).movedim(-1, 2)
    for name, function in (
        ("brightness", reference.adjust_brightness),
        ("saturation", reference.adjust_saturation),
        ("contrast", reference.adjust_contrast),
    ):
        expected = torch.stack([function(row, factor) for row in rows]).movedim(2, -1)
        found = recoloured(images()[:, :1], **colours(**{name: factor}))
        torch.testing.assert_close(found / 255, expected, atol=2e-3, rtol=0)


def test_neutral_colours_change_nothing() -> None:
    torch.testing.assert_close(recoloured(images(), **colours()), images().float(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("turn", [1 / 3, -1 / 3])
def test_a_third_of_a_turn_exchanges_the_colours(turn: float) -> None:
    """Muted ones: what leaves the cube is cut off."""
    red = torch.tensor([140.0, 120.0, 120.0]).expand(EXAMPLES, 1, 2, 2, 3)
    found = recoloured(red, **colours(hue=turn))[0, 0, 0, 0] / 255
    hue, _, _ = colorsys.rgb_to_hsv(*found.tolist())
    assert min(abs(hue - turn % 1), 1 - abs(hue - turn % 1)) < 0.06


def test_a_full_turn_comes_back() -> None:
    found = recoloured(images(), **colours(hue=1.0))
    torch.testing.assert_close(found, images().float(), atol=0.1, rtol=0)


def test_grey_stays_grey_under_hue_and_saturation() -> None:
    grey = images()[..., :1].expand(-1, -1, -1, -1, 3)
    found = recoloured(grey, **colours(hue=0.2, saturation=1.7))
    torch.testing.assert_close(found, grey.float(), atol=0.05, rtol=0)


def test_values_stay_between_black_and_white() -> None:
    found = recoloured(images(), **colours(brightness=2.0, contrast=2.0, saturation=2.0))
    assert found.min() == 0
    assert found.max() == 255


def data(augmentation: AugmentationConfig | None, shift: int = 0) -> DataConfig:
    clips = ClipsConfig(images="front", shift=shift)
    return DataConfig(path=Path("demos"), augmentation=augmentation, clips=clips)


def test_nothing_is_the_identity() -> None:
    batch = batch_of(front=images())
    assert torch.equal(augment(batch, data(NOTHING), draws()).observations["front"], images())


def test_only_images_change() -> None:
    batch = batch_of(front=images())
    found = augment(batch, data(AugmentationConfig()), draws())
    assert torch.equal(batch.observations["front"], images())
    assert found.observations["front"].shape == images().shape
    expected = replace(batch, observations=found.observations)
    assert all(getattr(found, name) is getattr(expected, name) for name in vars(batch))
    assert found.observations["proprio"] is batch.observations["proprio"]


@pytest.mark.parametrize("config", [SHIFT, AugmentationConfig()], ids=["shift", "all"])
def test_frames_of_a_window_change_alike(config: AugmentationConfig) -> None:
    still = images()[:, :1].expand(-1, HISTORY, -1, -1, -1)
    found = augment(batch_of(front=still), data(config), draws()).observations["front"]
    assert torch.equal(found[:, 0], found[:, 1])


@pytest.mark.parametrize("config", [SHIFT, AugmentationConfig(shift=0)], ids=["shift", "colour"])
def test_examples_and_cameras_change_each_by_itself(config: AugmentationConfig) -> None:
    same = images()[:1].expand(EXAMPLES, -1, -1, -1, -1)
    found = augment(batch_of(front=same, wrist=same), data(config), draws()).observations
    assert len({row.numpy().tobytes() for key in ("front", "wrist") for row in found[key]}) > EXAMPLES


def test_draws_are_the_generators() -> None:
    batch = batch_of(front=images(0), wrist=images(1))
    first, again, other = (augment(batch, data(AugmentationConfig()), draws(seed)).observations for seed in (0, 0, 1))
    for key in ("front", "wrist"):
        assert torch.equal(first[key], again[key])
        assert not torch.equal(first[key], other[key])


def test_shifts_stay_within_their_bounds_and_reach_them() -> None:
    mark = torch.zeros(200, 1, HEIGHT, WIDTH, 3, dtype=torch.uint8)
    mark[:, :, 4, 6] = 255
    found = augment(batch_of(front=mark), data(SHIFT), draws()).observations["front"]
    rows, columns = found[:, 0, :, :, 0].nonzero()[:, 1:].unbind(1)
    assert set(rows.tolist()) == set(range(2, 7))
    assert set(columns.tolist()) == set(range(4, 9))


def test_clips_are_moved_each_by_itself_and_their_frames_alike() -> None:
    still = images()[:1, :1].expand(20, 3, -1, -1, -1)
    batch = replace(batch_of(front=images()), clips=still)
    found = augment(batch, data(None, shift=2), draws())
    assert found.observations is batch.observations
    assert found.clips is not None
    assert torch.equal(found.clips[:, 0], found.clips[:, 2])
    assert 10 < len({clip.numpy().tobytes() for clip in found.clips}) <= 20
    assert augment(batch, data(None), draws()).clips is still
    looked_at = replace(batch, clips=torch.rand(20, 3, 8))
    assert augment(looked_at, data(None, shift=2), draws()).clips is looked_at.clips
