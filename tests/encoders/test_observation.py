import torch

from mtil.data.statistics import feature_statistics
from mtil.encoders.config import NormalizationConfig
from mtil.encoders.observation import StateEncoder
from mtil.types import FeatureSpec

FEATURES = (FeatureSpec("proprio", (3,), "float32", "state"), FeatureSpec("goal", (2,), "float32", "state"))
EVERYTHING = {"proprio": torch.ones(4, 3, dtype=torch.bool), "goal": torch.ones(4, 2, dtype=torch.bool)}


def windows() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return {f.key: torch.randn(4, 2, *f.shape, generator=random) for f in FEATURES}


def test_strings_keys_and_history_together() -> None:
    encoder, observations = StateEncoder(FEATURES, history=2), windows()
    found = encoder(observations, EVERYTHING)
    assert found.shape == (4, encoder.width) == (4, 2 * 3 + 2 * 2)
    expected = torch.cat([observations["proprio"].flatten(1), observations["goal"].flatten(1)], 1)
    assert torch.equal(found, expected)


def test_other_keys_and_their_order_do_not_matter() -> None:
    encoder, observations = StateEncoder(FEATURES, history=2), windows()
    shuffled = {"camera": torch.zeros(4, 2, 1), **dict(reversed(observations.items()))}
    assert torch.equal(encoder(shuffled, EVERYTHING), encoder(observations, EVERYTHING))


def test_each_key_has_its_own_normalisation() -> None:
    encoder, observations = StateEncoder(FEATURES, history=2), windows()
    scaled = {"proprio": 10 * observations["proprio"], "goal": observations["goal"] - 5}
    statistics = {
        key: feature_statistics(v.flatten(0, 1), torch.ones_like(v.flatten(0, 1), dtype=torch.bool))
        for key, v in scaled.items()
    }
    encoder.fit(statistics, NormalizationConfig(observations="mean_std"))
    found = encoder(scaled, EVERYTHING)
    rows = torch.cat([part.reshape(4 * 2, -1) for part in found.split([6, 4], dim=1)], 1)
    torch.testing.assert_close(rows.mean(0), torch.zeros(5), atol=1e-5, rtol=0)
    torch.testing.assert_close(rows.std(0, correction=0), torch.ones(5), atol=1e-5, rtol=0)


def test_padding_is_zero_in_the_features() -> None:
    encoder, observations = StateEncoder(FEATURES, history=2), windows()
    narrow = EVERYTHING["proprio"].clone()
    narrow[1, 2:] = False
    observations["proprio"][1, :, 2:] = torch.nan
    found = encoder(observations, {**EVERYTHING, "proprio": narrow})
    assert (found[1, [2, 5]] == 0).all()
    assert found.isfinite().all()
