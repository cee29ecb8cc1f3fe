import pytest
import torch

from mtil.encoders.config import PointsConfig
from mtil.encoders.observation import StateEncoder
from mtil.encoders.relative import RelativePositions
from mtil.errors import ConfigError
from mtil.types import FeatureSpec

FEATURES = (FeatureSpec("proprio", (4,), "float32", "state"), FeatureSpec("objects", (6,), "float32", "state"))
EVERYTHING = {"proprio": torch.ones(5, 4, dtype=torch.bool), "objects": torch.ones(5, 6, dtype=torch.bool)}
POINTS = PointsConfig(starts={"proprio": (0,), "objects": (0, 3)}, scales=(0.1, 1.0))


def windows() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {f.key: torch.randn(5, 2, *f.shape, generator=random) for f in FEATURES}


def test_every_pair_at_every_scale() -> None:
    observations = windows()
    relative = RelativePositions(POINTS, FEATURES)
    found = relative(observations, EVERYTHING)
    assert found.shape == (5, 2, relative.width) == (5, 2, 3 * 3 * 2)
    hand, first, second = observations["proprio"][..., :3], *observations["objects"].split(3, dim=-1)
    apart = torch.cat([hand - first, hand - second, first - second], dim=-1)
    torch.testing.assert_close(found, torch.cat([torch.tanh(apart / 0.1), torch.tanh(apart)], dim=-1))


def test_moving_everything_changes_nothing_unless_positions_are_seen() -> None:
    observations, step = windows(), torch.tensor([0.3, -0.2, 0.1])
    moved = {"proprio": observations["proprio"].clone(), "objects": observations["objects"] + step.repeat(2)}
    moved["proprio"][..., :3] += step
    blind = StateEncoder(FEATURES, points=POINTS.model_copy(update={"absolute": False}))
    assert blind.width == 1 + 18
    torch.testing.assert_close(blind(moved, EVERYTHING), blind(observations, EVERYTHING), atol=1e-5, rtol=0)
    seeing = StateEncoder(FEATURES, points=POINTS)
    assert seeing.width == 4 + 6 + 18
    assert not torch.allclose(seeing(moved, EVERYTHING), seeing(observations, EVERYTHING), atol=0.05)


def test_what_is_no_position_is_always_seen() -> None:
    observations = windows()
    blind = StateEncoder(FEATURES, points=POINTS.model_copy(update={"absolute": False}))
    opened = {**observations, "proprio": observations["proprio"].clone()}
    opened["proprio"][..., 3] += 1
    changed = (blind(opened, EVERYTHING) - blind(observations, EVERYTHING)).abs() > 0
    assert changed.sum((1, 2)).tolist() == [2] * 5


def test_points_that_are_padding_have_no_distance() -> None:
    observations = windows()
    valid = {**EVERYTHING, "objects": EVERYTHING["objects"].clone()}
    valid["objects"][1, 3:] = False
    observations["objects"][1, :, 3:] = torch.nan
    found = RelativePositions(POINTS, FEATURES)(observations, valid)[1].unflatten(-1, (2, 3, 3))
    assert (found[:, :, 1:] == 0).all()
    assert (found[:, :, 0] != 0).all()


def test_points_that_the_data_lack() -> None:
    with pytest.raises(ConfigError, match="unknown state key 'objcts'; did you mean 'objects'"):
        RelativePositions(PointsConfig(starts={"objcts": (0,)}), FEATURES)
    with pytest.raises(ConfigError, match=r"objects: a point at 4 needs 7 dimensions; the data hold 6"):
        RelativePositions(PointsConfig(starts={"objects": (0, 4)}), FEATURES)
