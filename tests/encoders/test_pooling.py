import pytest
import torch

from mtil.encoders.pooling import AttentionPool, Keypoints, MeanPool, SpatialSoftmax, places


def delta(row: int, column: int, height: int, width: int) -> torch.Tensor:
    """A map that is high in one cell."""
    maps = torch.zeros(1, 1, height, width)
    maps[0, 0, row, column] = 1e3
    return maps


@pytest.mark.parametrize(("row", "column"), [(0, 0), (2, 6), (3, 1)])
def test_a_delta_gives_its_place(row: int, column: int) -> None:
    x, y = SpatialSoftmax(1, strength=False)(delta(row, column, 4, 8))[0]
    assert x.item() == pytest.approx((2 * column + 1) / 8 - 1)
    assert y.item() == pytest.approx((2 * row + 1) / 4 - 1)


def test_strength_is_the_activation_there() -> None:
    x, y, strength = SpatialSoftmax(1, strength=True)(delta(1, 2, 3, 5))[0]
    assert (x.item(), y.item(), strength.item()) == (0, 0, 1e3)


def test_a_flat_map_means_the_middle() -> None:
    maps = torch.ones(2, 3, 5, 4)
    torch.testing.assert_close(SpatialSoftmax(3, strength=False)(maps), torch.zeros(2, 6))


def test_mirroring_the_map_mirrors_the_place() -> None:
    pool, maps = SpatialSoftmax(3, strength=False), torch.randn(2, 3, 4, 5)
    found = pool(maps).unflatten(1, (3, 2))
    torch.testing.assert_close(pool(maps.flip(-1)).unflatten(1, (3, 2)), found * torch.tensor([-1, 1]))
    torch.testing.assert_close(pool(maps.flip(-2)).unflatten(1, (3, 2)), found * torch.tensor([1, -1]))


def test_resolutions_agree() -> None:
    pool, maps = SpatialSoftmax(3, strength=True), torch.randn(2, 3, 4, 5)
    finer = maps.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(pool(finer), pool(maps))


def test_places_stay_exact_in_low_precision() -> None:
    pool, maps = SpatialSoftmax(3, strength=True), torch.randn(2, 3, 40, 50).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        found = pool(maps)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, pool(maps.float()))


def test_places_are_the_centres_of_the_cells() -> None:
    expected = torch.tensor([[-0.5, -2 / 3], [0.5, -2 / 3], [-0.5, 0], [0.5, 0], [-0.5, 2 / 3], [0.5, 2 / 3]])
    torch.testing.assert_close(places(3, 2, torch.device("cpu")), expected)


@pytest.mark.parametrize("sizes", [[(9, 7), (5, 4), (3, 2)], [(8, 8)]], ids=str)
def test_keypoints_see_every_map(sizes: list[tuple[int, int]]) -> None:
    channels = [4, 6, 8][: len(sizes)]
    keypoints = Keypoints(channels, keypoints=5, strength=True)
    maps = [torch.randn(2, c, *size, requires_grad=True) for c, size in zip(channels, sizes, strict=True)]
    found = keypoints(maps)
    assert found.shape == (2, keypoints.width) == (2, 15)
    (found * torch.randn_like(found)).sum().backward()
    for each in maps:
        assert each.grad is not None
        assert each.grad.abs().sum() > 0


@pytest.mark.parametrize(("pool", "cells"), [(MeanPool, 1), (AttentionPool, 12)])
def test_what_is_kept_is_enough(pool: type[MeanPool | AttentionPool], cells: int) -> None:
    pooling, maps = pool(4, 32), torch.randn(2, 4, 3, 4)
    kept = pooling.kept(maps)
    assert kept.flatten(2).shape == (2, 4, cells)
    torch.testing.assert_close(pooling(kept), pooling(maps))
