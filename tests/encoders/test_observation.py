import torch

from mtil.data.statistics import feature_statistics
from mtil.encoders.config import CNNConfig, NormalizationConfig, PointsConfig
from mtil.encoders.observation import ObservationEncoder, StateEncoder
from mtil.types import FeatureSpec

FEATURES = (FeatureSpec("proprio", (3,), "float32", "state"), FeatureSpec("goal", (2,), "float32", "state"))
CAMERAS = tuple(FeatureSpec(f"{name}_image", (16, 16, 3), "uint8", "image") for name in ("front", "wrist"))
EVERYTHING = {"proprio": torch.ones(4, 3, dtype=torch.bool), "goal": torch.ones(4, 2, dtype=torch.bool)}
SMALL = CNNConfig(channels=(16, 16), keypoints=5)


def windows() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    states = {f.key: torch.randn(4, 2, *f.shape, generator=random) for f in FEATURES}
    images = {f.key: torch.randint(256, (4, 2, *f.shape), generator=random, dtype=torch.uint8) for f in CAMERAS}
    return states | images


def test_a_stream_of_the_state_and_one_of_each_camera() -> None:
    features = (CAMERAS[0], *FEATURES, CAMERAS[1])
    encoder = ObservationEncoder(features, images=SMALL, condition=3)
    streams = encoder(windows(), EVERYTHING, torch.randn(4, 3))
    assert [tuple(stream.shape) for stream in streams] == [(4, 2, width) for width in encoder.widths]
    assert encoder.widths == [5, 15, 15]
    assert torch.equal(streams[0], StateEncoder(FEATURES)(windows(), EVERYTHING))


def test_a_window_may_hold_nothing_but_images() -> None:
    encoder = ObservationEncoder(CAMERAS[:1], images=SMALL, condition=3)
    (stream,) = encoder(windows(), {}, torch.randn(4, 3))
    assert stream.shape == (4, 2, 15)
    encoder.fit({}, NormalizationConfig())


def test_or_nothing_but_states() -> None:
    encoder = ObservationEncoder(FEATURES, images=SMALL, condition=3)
    assert encoder.widths == [5]
    assert not list(encoder.parameters())


def test_points_are_sought_among_the_states() -> None:
    points = PointsConfig(starts={"proprio": (0,)})
    encoder = ObservationEncoder((*CAMERAS, *FEATURES), points=points, images=SMALL, condition=3)
    assert encoder.widths == [5, 15, 15]


def test_strings_keys_together() -> None:
    encoder, observations = StateEncoder(FEATURES), windows()
    found = encoder(observations, EVERYTHING)
    assert found.shape == (4, 2, encoder.width) == (4, 2, 3 + 2)
    assert torch.equal(found, torch.cat([observations["proprio"], observations["goal"]], -1))


def test_other_keys_and_their_order_do_not_matter() -> None:
    encoder, observations = StateEncoder(FEATURES), windows()
    shuffled = {"camera": torch.zeros(4, 2, 1), **dict(reversed(observations.items()))}
    assert torch.equal(encoder(shuffled, EVERYTHING), encoder(observations, EVERYTHING))


def test_each_key_has_its_own_normalisation() -> None:
    encoder, observations = StateEncoder(FEATURES), windows()
    scaled = {"proprio": 10 * observations["proprio"], "goal": observations["goal"] - 5}
    statistics = {
        key: feature_statistics(v.flatten(0, 1), torch.ones_like(v.flatten(0, 1), dtype=torch.bool))
        for key, v in scaled.items()
    }
    encoder.fit(statistics, NormalizationConfig(observations="mean_std"))
    rows = encoder(scaled, EVERYTHING).flatten(0, 1)
    torch.testing.assert_close(rows.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_padding_is_zero_in_the_features() -> None:
    encoder, observations = StateEncoder(FEATURES), windows()
    narrow = EVERYTHING["proprio"].clone()
    narrow[1, 2:] = False
    observations["proprio"][1, :, 2:] = torch.nan
    found = encoder(observations, {**EVERYTHING, "proprio": narrow})
    assert (found[1, :, 2] == 0).all()
    assert found.isfinite().all()
